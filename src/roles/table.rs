//! Every command, and the roles it is for.

use clap::ArgMatches;
use store::Role;
use store::proposals::Guarded;

/// One command.
#[derive(Debug)]
pub struct Row {
    /// Its words, as `contract add`.
    pub command: &'static str,
    /// Whom it is for; `None`: it asks the store for no leave.
    pub roles: Option<&'static [Role]>,
}

/// It opens no store, or it is this host's: who may start it is the operating system's to say.
const HOST: Option<&[Role]> = None;
const OPERATOR: Option<&[Role]> = Some(&[Role::Operator]);
/// Contracts and their accounts of money.
const CLERK: Option<&[Role]> = Some(&[Role::Operator, Role::Clerk]);
/// Reading that names no holder's mail.
const ALL: Option<&[Role]> = Some(&[Role::Operator, Role::Clerk, Role::Auditor]);
/// Reading evidence.
const AUDITOR: Option<&[Role]> = Some(&[Role::Operator, Role::Auditor]);

const fn row(command: &'static str, roles: Option<&'static [Role]>) -> Row {
    Row { command, roles }
}

/// The table. A command that is not in it is for operators alone, and a test says so.
pub const TABLE: &[Row] = &[
    row("account accept-terms", OPERATOR),
    row("account add", OPERATOR),
    row("account close", OPERATOR),
    row("account delegate add", OPERATOR),
    row("account delegate end", OPERATOR),
    row("account delegate list", AUDITOR),
    row("account enrol", OPERATOR),
    row("account history", AUDITOR),
    row("account import", OPERATOR),
    row("account list", OPERATOR),
    row("account renew", OPERATOR),
    row("account reopen", OPERATOR),
    row("account revoke", OPERATOR),
    row("account set", OPERATOR),
    row("account show", AUDITOR),
    // It reads the texts in their files.
    row("account terms", HOST),
    row("audit", AUDITOR),
    row("backup", OPERATOR),
    row("bench", HOST),
    row("bench store", HOST),
    row("contract activate", CLERK),
    row("contract add", CLERK),
    row("contract apply", CLERK),
    row("contract check", CLERK),
    row("contract countersign", CLERK),
    row("contract document", CLERK),
    row("contract draft", CLERK),
    row("contract entitled", ALL),
    row("contract end", CLERK),
    row("contract history", ALL),
    row("contract holds", ALL),
    row("contract list", ALL),
    row("contract of", ALL),
    row("contract receive", CLERK),
    row("contract requirements", ALL),
    row("contract resume", CLERK),
    row("contract set", CLERK),
    row("contract show", ALL),
    row("contract statement", ALL),
    row("contract suspend", CLERK),
    row("demo", HOST),
    row("erase", OPERATOR),
    row("evidence annul", OPERATOR),
    row("evidence export", AUDITOR),
    row("evidence list", AUDITOR),
    row("evidence show", AUDITOR),
    row("hold add", OPERATOR),
    row("hold list", AUDITOR),
    row("hold remove", OPERATOR),
    row("init", HOST),
    row("key create", OPERATOR),
    // They are asked of the files that hold the keys.
    row("key list", HOST),
    row("key retire", OPERATOR),
    row("key rotate", OPERATOR),
    row("log checkpoint", ALL),
    row("log consistency", ALL),
    row("log key", HOST),
    row("log proof", AUDITOR),
    row("log resume", OPERATOR),
    row("log status", ALL),
    row("monitor", HOST),
    row("operator add", OPERATOR),
    row("operator list", ALL),
    row("operator remove", OPERATOR),
    row("operator set", OPERATOR),
    row("operator show", ALL),
    row("pending approve", CLERK),
    row("pending decline", CLERK),
    row("pending list", CLERK),
    row("pending show", CLERK),
    row("queue drop", OPERATOR),
    row("queue list", OPERATOR),
    row("queue retry", OPERATOR),
    row("queue show", OPERATOR),
    // There is no store yet whose list could be asked.
    row("restore", HOST),
    row("serve", HOST),
    row("signer", HOST),
    // A sender computes it from bundles, without a store.
    row("statement check", HOST),
    row("store migrate", HOST),
    row("trust check", OPERATOR),
    row("verify", HOST),
];

const UNLISTED: &Row = &row("this command", OPERATOR);

/// The row of the command that was given, and its own arguments.
pub fn row_of(matches: &ArgMatches) -> (&'static Row, &ArgMatches) {
    let (mut words, mut inner) = (Vec::new(), matches);
    while let Some((word, deeper)) = inner.subcommand() {
        words.push(word);
        inner = deeper;
    }
    (find(&words.join(" ")).unwrap_or(UNLISTED), inner)
}

/// The row of a command.
pub fn find(command: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.command == command)
}

/// Who may decide about a proposed act: those who may do it.
pub fn roles_of(deed: Guarded) -> &'static [Role] {
    let command = match deed {
        Guarded::ContractEnd => "contract end",
        Guarded::Erasure => "erase",
        Guarded::Annulment => "evidence annul",
        Guarded::Operators => "operator add",
        Guarded::KeyRotation => "key rotate",
    };
    find(command).and_then(|row| row.roles).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn commands(of: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
        for command in of.get_subcommands().filter(|one| one.get_name() != "help") {
            let words = format!("{before} {}", command.get_name());
            let words = words.trim_start().to_owned();
            if command.get_subcommands().next().is_none() || !command.is_subcommand_required_set() {
                found.insert(words.clone());
            }
            commands(command, &words, found);
        }
    }

    #[test]
    fn every_command_has_exactly_one_row() {
        let mut there = BTreeSet::new();
        commands(&Cli::command(), "", &mut there);
        let rows: Vec<String> = TABLE.iter().map(|row| row.command.to_owned()).collect();
        let listed: BTreeSet<String> = rows.iter().cloned().collect();
        assert_eq!(rows.len(), listed.len(), "a command stands twice");
        let missing: Vec<_> = there.difference(&listed).collect();
        let gone: Vec<_> = listed.difference(&there).collect();
        assert!(
            missing.is_empty() && gone.is_empty(),
            "without a row in src/roles/table.rs: {missing:?}; no such command: {gone:?}"
        );
    }

    /// What a clerk and an auditor are, in one place: nothing of a holder's mail for the one, no change for the other.
    #[test]
    fn a_clerk_sees_no_mail_and_an_auditor_changes_nothing() {
        let of = |role| {
            let may = move |row: &&Row| row.roles.is_some_and(|roles| roles.contains(&role));
            TABLE.iter().filter(may).map(|row| row.command)
        };
        for command in of(Role::Clerk) {
            let about = command.split(' ').next().unwrap();
            assert!(
                ["contract", "log", "operator", "pending"].contains(&about),
                "{command}"
            );
        }
        for command in of(Role::Auditor) {
            let does = command.split(' ').next_back().unwrap();
            let reads = [
                "list",
                "show",
                "export",
                "status",
                "checkpoint",
                "proof",
                "consistency",
                "entitled",
                "history",
                "holds",
                "of",
                "requirements",
                "statement",
                "audit",
            ];
            assert!(reads.contains(&does), "{command}");
        }
    }
}
