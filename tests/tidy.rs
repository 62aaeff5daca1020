//! The style of the house, held by a machine: what CONTRIBUTING.md and docs/ say, checked against what there is.
//!
//! | module | what |
//! |---|---|
//! | `tree` | the files of the repository |
//! | `source` | one Rust file: what is code, what is test, where the functions are |
//! | `code` | rules for Rust files: lengths, panics, where tokio and threads may be |
//! | `rooms` | which crate may import which, and that each lists its modules |
//! | `docs` | rules for documents: RFC index, dependencies, limits, links, decisions |
//! | `data` | rules for the files of etc/ and for every text |

mod code;
mod data;
mod docs;
mod rooms;
mod source;
mod tree;

/// Fails with every complaint, so that one run shows all there is to mend.
fn hold(rule: &str, complaints: Vec<String>) {
    assert!(
        complaints.is_empty(),
        "{rule}\n  {}\n",
        complaints.join("\n  ")
    );
}
