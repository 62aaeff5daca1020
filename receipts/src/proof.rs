//! C2SP tlog-proof.
