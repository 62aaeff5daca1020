//! Who may do what: one table of all commands, for the command line and HTTP alike.
//!
//! | module | what |
//! |---|---|
//! | [`table`] | every command, and the roles it is for |
//! | [`asked`] | what of a query stands in evidence |
//! | [`four_eyes`] | acts that one person proposes and another approves |

pub mod asked;
pub mod four_eyes;
pub mod table;

use serde_json::Value;
use store::operators::Standing;
use store::{Role, Store};

use crate::commands::operator;
use crate::failure::{Failure, Outcome};
use table::Row;

/// Who gives a command, and what it is. By itself nobody, for who needs no leave: `serve` and the chores.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    asked: Option<Asked>,
    store: Option<Store>,
}

/// The command that was given.
#[derive(Debug, Clone)]
struct Asked {
    row: &'static Row,
    filters: Vec<(String, Vec<String>)>,
}

/// Who asks is no part of what is configured.
impl PartialEq for Caller {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Caller {}

impl Caller {
    /// Who gives this command line: the local user.
    pub fn of(row: &'static Row, matches: &clap::ArgMatches) -> Self {
        Self {
            asked: Some(Asked {
                row,
                filters: asked::given(matches),
            }),
            store: None,
        }
    }

    /// The same on a store that is open already, and acts for whoever it acts for.
    #[must_use]
    pub fn on(mut self, store: Store) -> Self {
        self.store = Some(store);
        self
    }

    /// The store that is open already.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Lets the command be carried out, and records an auditor's.
    ///
    /// # Errors
    /// [`Failure::Denied`] names role and command. That the query could not be recorded: then nothing is answered.
    pub fn admit(&self, store: &Store) -> Outcome {
        let Some(Asked { row, filters }) = &self.asked else {
            return Ok(());
        };
        let actor = operator::actor();
        let standing = store.standing_of(&actor)?;
        let role = check(row, &standing)?;
        if role == Role::Auditor {
            let asked = asked::record(store, row.command, filters)?;
            store.query_made(actor, asked)?;
        }
        Ok(())
    }
}

/// The role in which somebody may give a command.
fn check(row: &Row, standing: &Standing) -> Outcome<Role> {
    let command = row.command;
    let role = match standing {
        Standing::Nobody(why) => {
            return Err(Failure::Denied(format!("{command}: not allowed: {why}")));
        }
        Standing::Open | Standing::Root => Role::Operator,
        Standing::Listed(operator) => operator.role,
    };
    if row.roles.is_none_or(|roles| roles.contains(&role)) {
        return Ok(role);
    }
    let takes: Vec<&str> = row
        .roles
        .unwrap_or_default()
        .iter()
        .map(|role| role.as_str())
        .collect();
    Err(Failure::Denied(format!(
        "{command}: not allowed to role {role}; it takes {}",
        takes.join(" or ")
    )))
}

/// Records that an auditor was given something.
///
/// # Errors
/// That it could not be recorded: then it is not given.
pub fn exported(store: &Store, what: Value) -> Outcome {
    store.query_exported(operator::actor(), what)?;
    Ok(())
}
