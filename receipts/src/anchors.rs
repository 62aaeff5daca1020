//! What a verifier trusts: certificates and log keys.
