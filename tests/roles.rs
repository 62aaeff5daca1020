//! Who may do what: on the command line by user id, and (`https`) over HTTPS by certificate; what two persons do together.

mod https;
mod keys;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::pki::self_signed;
use crate::harness::post::{Ended, KNIK, path_text, text};
use crate::harness::{Credential, Post};

const HOLDER: &str = "2503851234";
const NOBODY: &str = "01JD9YV0000000000000000001";

/// `ROLES | arguments`, with the test's own ids in braces.
const TABLE: &str = include_str!("roles/commands.txt");

/// The people of the tests: name, role, user id.
const STAFF: [(&str, &str, u32); 4] = [
    ("Ani", "operator", 61_001),
    ("Vahe", "operator", 61_002),
    ("Lia", "clerk", 61_003),
    ("Aram", "auditor", 61_004),
];

/// Lists them all; over HTTPS each has a certificate of their own making.
fn staff(post: &Post) -> Vec<Credential> {
    let mut credentials = Vec::new();
    for (name, role, uid) in STAFF {
        let directory = post.scratch().join(name);
        let credential = self_signed(&directory, name, None, 30);
        let certificate = path_text(&credential.certificate).to_owned();
        post.must(&[
            "operator",
            "add",
            "--name",
            name,
            "--role",
            role,
            "--uid",
            &uid.to_string(),
            "--certificate",
            &certificate,
        ]);
        credentials.push(credential);
    }
    credentials
}

/// The contract of those who send; the post has one of its own beside it.
fn ministry(post: &Post) -> String {
    let contracts = post.json(&["contract", "list"]);
    let found = contracts.iter().find(|row| row["name"] == "ministry");
    text(found.unwrap(), "id")
}

/// Lets every user reach the post: what keeps them out is then the list alone.
fn open_to_all(path: &Path) {
    let mode = if path.is_dir() { 0o777 } else { 0o666 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
    }
}

/// Whether other users can be played; says so if not.
fn can_be_others() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "not root");
    if !root {
        eprintln!("skipped: only root can be other users");
    }
    root
}

/// A command by another user, who makes files that all can write.
fn as_user(post: &Post, uid: u32, arguments: &[&str]) -> Ended {
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 0; exec \"$0\" \"$@\"", KNIK])
        .args(arguments)
        .env("KNIK_CONFIG", post.config())
        .current_dir(post.scratch())
        .uid(uid)
        .gid(uid);
    Ended::of(&mut command)
}

fn words(text: &str) -> Vec<&str> {
    let quoted = text.split('"').enumerate();
    quoted
        .flat_map(|(at, piece)| match at % 2 {
            0 => piece.split_whitespace().collect(),
            _ => vec![piece],
        })
        .collect()
}

#[test]
fn each_command_lets_in_its_roles_and_nobody_else() {
    if !can_be_others() {
        return;
    }
    let post = Post::new();
    let contract = post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account(HOLDER);
    // Before anybody is listed, whoever can open the store is operator.
    open_to_all(post.scratch());
    let early = as_user(&post, 61_009, &["contract", "list"]);
    assert_eq!(early.code, 0, "{early:#?}");
    staff(&post);
    open_to_all(post.scratch());
    let scratch = path_text(post.scratch()).to_owned();
    let (mut complaints, mut rows) = (Vec::new(), 0);
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let filled = line
            .replace("{nobody}", NOBODY)
            .replace("{contract}", &contract)
            .replace("{scratch}", &scratch);
        let (roles, arguments) = filled.split_once(" | ").unwrap();
        rows += 1;
        let command: Vec<&str> = words(arguments).into_iter().take(2).collect();
        for (_, role, uid) in STAFF.into_iter().skip(1) {
            let ended = as_user(&post, uid, &words(arguments));
            let refused = ended.err.contains("not allowed");
            if refused == roles.split(' ').any(|word| word == role) {
                complaints.push(format!("{role}: {arguments}: {ended:?}"));
            }
            if refused {
                let names = ended.code == 2
                    && ended.out.is_empty()
                    && ended.err.lines().count() == 1
                    && ended.err.contains(&format!("role {role}"))
                    && ended.err.contains(command[0]);
                if !names {
                    complaints.push(format!("{role}: {arguments}: unclear: {ended:?}"));
                }
            }
        }
        let stranger = as_user(&post, 61_009, &words(arguments));
        if stranger.code != 2 || !stranger.err.contains("user id 61009 is no operator") {
            complaints.push(format!("stranger: {arguments}: {stranger:?}"));
        }
    }
    assert!(rows > 40, "{rows} rows");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    queries_are_recorded(&post, &contract);
    post.must(&["audit"]);
}

/// What the auditor asked stands in evidence, and no person in it.
fn queries_are_recorded(post: &Post, contract: &str) {
    let asked = post.evidence(&["--event", "query-made"]);
    assert!(asked.len() > 10, "{}", asked.len());
    let said: Vec<Value> = asked
        .iter()
        .map(|row| post.json(&["evidence", "show", &text(row, "id")]).remove(0))
        .collect();
    for row in &said {
        assert_eq!(row["actor"]["name"], "Aram", "{row}");
        assert_eq!(row["actor"]["role"], "auditor");
        assert!(!row.to_string().contains(HOLDER), "{row}");
    }
    let of = |command: &str| {
        let found = said.iter().find(|row| row["details"]["asked"] == command);
        found.unwrap()["details"]["filters"].clone()
    };
    assert_eq!(of("contract show"), json!({ "id": contract }));
    assert!(of("evidence list")["account"].is_number());
    assert_eq!(of("evidence show"), json!({ "id": NOBODY }));
}

#[test]
fn root_is_never_locked_out_and_the_last_operator_stays() {
    let post = Post::new();
    let refused = post.knik(&[
        "operator", "add", "--name", "Aram", "--role", "auditor", "--uid", "61004",
    ]);
    assert_eq!(refused.code, 2, "{refused:#?}");
    assert!(refused.err.contains("role operator"), "{refused:#?}");
    let nothing = post.knik(&["operator", "add", "--name", "Ani", "--role", "operator"]);
    assert!(
        nothing.err.contains("user id or a certificate"),
        "{nothing:#?}"
    );
    let own = nix::unistd::getuid().as_raw().to_string();
    post.must(&[
        "operator", "add", "--name", "Ani", "--role", "operator", "--uid", &own,
    ]);
    let last = post.knik(&["operator", "remove", "--name", "Ani", "--why", "x"]);
    assert_eq!(last.code, 2, "{last:#?}");
    let missing = post.knik(&["operator", "show", "--name", "Nobody"]);
    assert_eq!(missing.code, 1, "{missing:#?}");
    let over = self_signed(&post.scratch().join("over"), "over", None, -1);
    let expired = post.knik(&[
        "operator",
        "set",
        "--name",
        "Ani",
        "--certificate",
        path_text(&over.certificate),
    ]);
    assert!(expired.err.contains("has expired"), "{expired:#?}");
    assert_eq!(post.json(&["operator", "list"]).len(), 1);
}
