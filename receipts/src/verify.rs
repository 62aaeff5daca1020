//! The verifier of bundles, evidence and proofs.
