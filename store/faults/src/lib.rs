//! A disk that fails when it is told to: under SQLite and under the store's content files, in memory, for tests only.
//!
//! A [`Simulated`] disk keeps each file as programs see it and as it would be after a power cut. Every change is counted;
//! a [`Fault`] names the change that goes wrong and how. Afterwards the machine can be taken as [killed](Simulated::killed)
//! (the operating system lives, all it has seen is there) or as [cut off](Simulated::cut) from power, with what was not
//! synced lost in one of the ways of [`Loss`]; both give a new disk to open the store on.
//!
//! | module | what |
//! |---|---|
//! | `plan` | what goes wrong, and when |
//! | `disk` | the simulated disk |
//! | `file` | one file, as seen and as it is durable |
//! | `ground` | the disk under the store's seams |
//! | `locks` | SQLite's locks between connections |
//! | `vfs` | the disk as a file system of SQLite; the one place with `unsafe` |

mod disk;
mod file;
mod ground;
mod locks;
mod plan;
mod vfs;

pub use disk::Simulated;
pub use ground::Mounted;
pub use plan::{Change, Fault, Kind, Loss};
