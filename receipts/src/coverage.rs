//! Which octets were acknowledged.
