//! `knik`: an official electronic post. Certified mail whose receipts a stranger can check.
//!
//! | module | what |
//! |---|---|
//! | [`cli`] | the command line and its help |
//! | [`config`] | `knik.toml` |
//! | [`commands`] | what can be asked, one file per command |
//! | [`serve`] | the running post: listeners, reload, shutdown |
//! | [`authority`] | the operator's own authority: its list, its responder, one-time links |
//! | [`chores`] | what the post does by itself |
//! | [`billing`] | prices, statements, and the papers of contracts |
//! | [`demo`] | the whole journey of one letter |
//! | [`bench`] | what the post does, beside what the machine can do |
//! | [`notices`] | the text of the first notice in a mailbox |
//! | [`signer`] | the keys of log and seal, in this process or in another |
//! | [`keys`] | key files |
//! | [`grammar`] | usual forms of local parts |
//! | [`roles`] | who may do what |
//! | [`api`] | the commands over HTTP |
//! | [`psn`] | what is doubtful about a personal number |
//! | [`reverse_dns`] | the names that reverse DNS gives an address |
//! | [`output`] | text tables and JSON |
//! | [`failure`] | exit codes, and the one line on standard error |

mod api;
mod authority;
mod bench;
mod billing;
mod chores;
mod cli;
mod commands;
mod config;
mod demo;
mod failure;
mod grammar;
mod keys;
mod notices;
mod output;
mod psn;
mod reverse_dns;
mod roles;
mod serve;
mod signer;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use cli::{Cli, Command};
use config::Config;
use failure::Outcome;
use output::Output;
use roles::Caller;

fn main() -> ExitCode {
    let read = Cli::command()
        .try_get_matches()
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match read {
        Ok(read) => read,
        Err(error) => return cli::answer(&error),
    };
    let (row, given) = roles::table::row_of(&matches);
    let caller = Caller::of(row, given);
    let mut out = Output::new(cli.json);
    let place = cli.config;
    let config = || {
        let mut config = Config::find(place.as_deref())?;
        config.caller = caller.clone();
        Ok(config)
    };
    let done = run(cli.command, &config, &mut out);
    // What was found before a failure is printed too.
    let flushed = out.flush();
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What the log has said already, and what nobody is to be told, has no text.
            let text = failure.to_string();
            if !text.is_empty() {
                eprintln!("knik: {text}");
            }
            failure.exit_code()
        }
    }
}

/// Carries out one command, of the command line or of an HTTP request.
fn run(command: Command, config: &dyn Fn() -> Outcome<Config>, out: &mut Output) -> Outcome {
    match command {
        Command::Init(init) => commands::init::run(&init, out),
        Command::Serve(serve) => serve::run(config()?, &serve),
        Command::Signer(wanted) => signer::serve::run(&config()?, &wanted),
        Command::Demo(demo) => demo::run(&demo, out),
        Command::Bench(bench) => bench::run(&bench, out),
        Command::Contract(command) => commands::contract::run(&config()?, command, out),
        Command::Account(command) => commands::account::run(&config()?, command, out),
        Command::Evidence(command) => commands::evidence::run(&config()?, command, out),
        Command::Log(command) => commands::log::run(&config()?, &command, out),
        Command::Key(command) => commands::key::run(&config()?, command, out),
        Command::Queue(command) => commands::queue::run(&config()?, &command, out),
        Command::Monitor(monitor) => commands::monitor::run(&monitor, out),
        Command::Statement(command) => commands::statement::check(&command, out),
        Command::Verify(verify) => commands::verify::run(&verify, out),
        Command::Erase(erase) => commands::erase::run(&config()?, &erase, out),
        Command::Hold(command) => commands::hold::run(&config()?, &command, out),
        Command::Trust(command) => commands::trust::run(&config()?, &command, out),
        Command::Audit => commands::audit::run(&config()?, out),
        Command::Backup(wanted) => commands::backup::run(&config()?, &wanted, out),
        Command::Restore(wanted) => commands::restore::run(&config()?, &wanted, out),
        Command::Store(command) => commands::store::run(&config()?, &command, out),
        Command::Operator(command) => commands::people::run(&config()?, command, out),
        Command::Pending(command) => commands::pending::run(&config()?, command, out),
    }
}
