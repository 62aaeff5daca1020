//! Tests of the crate from outside.
//!
//! | module | what |
//! |---|---|
//! | `examined` | what must hold of any octets that were examined |
//! | `grammar` | reads ENVELOPE and BODYSTRUCTURE as RFC 3501 §9 has them, refusing all else |
//! | `vectors` | messages and what must be found in them |
//! | `hostile` | shapes that cost careless programs their stack or their afternoon |
//! | `properties` | what holds for any octets |
//! | `report` | DSN and MDN, as others read them |
//! | `searched` | what SEARCH looks at |
//! | `samples` | published messages, and a second opinion on them |

mod examined;
mod grammar;
mod hostile;
mod properties;
mod report;
mod samples;
mod searched;
mod vectors;

use examined::{examine, nested, numbered};
