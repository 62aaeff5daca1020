//! The event as ETSI evidence XML (EN 319 522-3).
