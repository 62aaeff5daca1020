//! What was asked and is not so, or could not be done: the exit code, and one line that names what is at fault.

use std::process::Command;

use crate::harness::post::{Ended, KNIK, path_text};
use crate::harness::{Post, letters, tools};

/// A ULID that nothing has.
const NOBODY: &str = "01JD9YV0000000000000000001";

fn assert_fault(ended: &Ended, code: i32, says: &[&str], what: &str) {
    assert_eq!(ended.code, code, "{what}: {ended:#?}");
    assert!(
        ended.out.is_empty(),
        "{what}: something on standard output: {ended:#?}"
    );
    for word in says {
        assert!(
            ended.err.contains(word),
            "{what}: does not say {word:?}: {ended:#?}"
        );
    }
    let lines = ended
        .err
        .lines()
        .filter(|line| !line.contains("warning:"))
        .count();
    assert_eq!(lines, 1, "{what}: one line, not {lines}: {ended:#?}");
}

#[test]
fn each_fault_has_its_exit_code_and_one_line() {
    let post = Post::new();
    let id = post.contract("ministry", "127.0.0.2", "ministry.example");
    post.account("2503851234");
    post.enrol("2503851234");
    let device = post.scratch().join("device-2503851234");
    let device = path_text(&device);
    let (absent, garbage) = (
        post.scratch().join("absent.zip"),
        post.scratch().join("garbage.zip"),
    );
    std::fs::write(&garbage, "PK garbage").unwrap();
    let (absent, garbage, anchors) = (path_text(&absent), path_text(&garbage), post.anchors());
    let (anchors, out) = (path_text(&anchors), path_text(post.scratch()));
    let zip = post.scratch().join("out.zip");
    let zip = path_text(&zip);
    let add = ["contract", "add", "--name", "x"];
    let table: &[(&[&str], i32, &[&str])] = &[
        (&["contract", "show", NOBODY], 1, &[NOBODY]),
        (&["contract", "suspend", NOBODY, "--why", "x"], 1, &[NOBODY]),
        (&["contract", "show", "not-an-id"], 2, &["not-an-id"]),
        (
            &[&add[..], &["--ip", "300.1.1.1", "--domain", "x.example"]].concat(),
            2,
            &["300.1.1.1"],
        ),
        (
            &[&add[..], &["--ip", "192.0.2.1"]].concat(),
            2,
            &["--domain"],
        ),
        (
            &[&add[..], &["--domain", "x.example"]].concat(),
            2,
            &["--ip"],
        ),
        (
            &[&add[..], &["--ip", "192.0.2.1", "--domain", "not a domain"]].concat(),
            2,
            &["not a domain"],
        ),
        (
            &[
                &add[..],
                &[
                    "--ip",
                    "192.0.2.1",
                    "--domain",
                    "x.example",
                    "--from",
                    "2026-02-30",
                ],
            ]
            .concat(),
            2,
            &["2026-02-30"],
        ),
        (
            &[
                &add[..],
                &[
                    "--ip",
                    "192.0.2.1",
                    "--domain",
                    "x.example",
                    "--from",
                    "2026-02-03",
                    "--until",
                    "2026-02-01",
                ],
            ]
            .concat(),
            2,
            &["--until"],
        ),
        (
            &[
                &add[..],
                &[
                    "--ip",
                    "192.0.2.1",
                    "--domain",
                    "x.example",
                    "--profile",
                    "post",
                ],
            ]
            .concat(),
            2,
            &["post"],
        ),
        (
            &[
                &add[..],
                &[
                    "--ip",
                    "192.0.2.1",
                    "--domain",
                    "x.example",
                    "--client-cert",
                    absent,
                ],
            ]
            .concat(),
            2,
            &[absent],
        ),
        (&["contract", "resume", &id], 2, &[&id]),
        (&["account", "add", "nobody"], 2, &["nobody"]),
        (
            &["account", "add", "2503851235@elsewhere.example"],
            2,
            &["elsewhere.example"],
        ),
        (
            &["account", "add", "2503851234@e-citizen.example"],
            2,
            &["2503851234@e-citizen.example"],
        ),
        (
            &["account", "show", "2503851239@e-citizen.example"],
            1,
            &["2503851239@e-citizen.example"],
        ),
        (
            &[
                "account",
                "enrol",
                "2503851239@e-citizen.example",
                "--out",
                out,
            ],
            1,
            &["2503851239@e-citizen.example"],
        ),
        (
            &[
                "account",
                "enrol",
                "2503851234@e-citizen.example",
                "--out",
                device,
            ],
            2,
            &["cert.pem"],
        ),
        (
            &[
                "account",
                "enrol",
                "2503851234@e-citizen.example",
                "--out",
                out,
                "--days",
                "0",
            ],
            2,
            &["0"],
        ),
        (&["evidence", "show", NOBODY], 1, &[NOBODY]),
        (&["evidence", "list", "--event", "sneezed"], 2, &["sneezed"]),
        (
            &["evidence", "list", "--since", "yesterday"],
            2,
            &["yesterday"],
        ),
        (
            &[
                "evidence",
                "list",
                "--account",
                "2503851239@e-citizen.example",
            ],
            1,
            &["2503851239@e-citizen.example"],
        ),
        (&["evidence", "export", NOBODY, "--out", zip], 1, &[NOBODY]),
        (
            &["evidence", "export", "--message", NOBODY, "--out", zip],
            1,
            &[NOBODY],
        ),
        (&["evidence", "export", "--out", zip], 2, &["ID"]),
        (&["log", "proof", NOBODY], 1, &[NOBODY]),
        (&["log", "consistency", "5", "2"], 2, &["5", "2"]),
        (&["log", "consistency", "0", "9999999"], 1, &["9999999"]),
        (&["verify", absent, "--anchors", anchors], 2, &[absent]),
        (&["verify", garbage, "--anchors", absent], 2, &[absent]),
        (&["verify", garbage], 2, &["anchors"]),
        (&["frobnicate"], 2, &["frobnicate"]),
        (&["contract", "list", "--frob"], 2, &["--frob"]),
    ];
    for (arguments, code, says) in table {
        assert_fault(&post.knik(arguments), *code, says, &arguments.join(" "));
    }
    assert_ne!(
        post.knik(&["verify", garbage, "--anchors", anchors]).code,
        0
    );
    assert!(
        !std::fs::exists(zip).unwrap(),
        "a failed export left a file"
    );
}

#[test]
fn configuration_is_looked_for_and_its_faults_are_named() {
    let alone = tempfile::tempdir().unwrap();
    let knik = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(KNIK);
        command
            .args(arguments)
            .env_remove("KNIK_CONFIG")
            .current_dir(alone.path());
        Ended::of(command.envs(variables.iter().copied()))
    };
    assert_fault(
        &knik(&["contract", "list"], &[]),
        2,
        &["knik.toml", "/etc/knik/knik.toml", "KNIK_CONFIG"],
        "no configuration",
    );
    assert_fault(
        &knik(&["--config", "no.toml", "audit"], &[]),
        2,
        &["no.toml"],
        "--config",
    );
    assert_fault(
        &knik(&["audit"], &[("KNIK_CONFIG", "neither.toml")]),
        2,
        &["neither.toml"],
        "KNIK_CONFIG",
    );

    let post = Post::new();
    let good = std::fs::read_to_string(post.config()).unwrap();
    let table = [
        (
            good.replace("append = false", "append = true"),
            "imap.append",
        ),
        (
            good.replace("engine = \"sqlite\"", "engine = \"postgres\""),
            "store.engine",
        ),
        (
            good.replace("[store]\n", "[store]\nengin = \"sqlite\"\n"),
            "engin",
        ),
        (
            good.replace("revocation = \"soft\"", "revocation = \"sometimes\""),
            "sometimes",
        ),
        (
            good.replace("map = [\"enrolment\"]", "map = [\"shoe-size\"]"),
            "shoe-size",
        ),
        (good.clone() + "[[trust]\n", "knik.toml"),
    ];
    for (text, says) in table {
        assert_ne!(
            text, good,
            "{says}: nothing was changed, so nothing is tested"
        );
        std::fs::write(post.config(), text).unwrap();
        assert_fault(
            &post.knik(&["contract", "list"]),
            2,
            &[says, "knik.toml"],
            says,
        );
        assert_fault(&post.knik(&["serve"]), 2, &[says, "knik.toml"], says);
    }
    std::fs::write(post.config(), &good).unwrap();
    // ./knik.toml is found.
    let here = Ended::of(
        Command::new(KNIK)
            .args(["contract", "list"])
            .env_remove("KNIK_CONFIG")
            .current_dir(post.root()),
    );
    assert_eq!(here.code, 0, "{here:?}");
    // A key file that is gone is named.
    std::fs::remove_file(post.root().join("pki/server.key")).unwrap();
    assert_fault(
        &post.knik(&["serve"]),
        2,
        &["pki/server.key"],
        "no server key",
    );
}

#[test]
fn a_second_init_changes_nothing() {
    let post = Post::new();
    let root = post.root();
    let before = snapshot(&root);
    let ended = post.knik(&["init", path_text(&root), "--domain", "other.example"]);
    assert_fault(&ended, 2, &[path_text(&root)], "a second init");
    assert!(snapshot(&root) == before, "something was changed");
}

/// Every file with its octets.
fn snapshot(directory: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_dir() {
                folders.push(entry)
            } else {
                files.push((entry.clone(), std::fs::read(&entry).unwrap()))
            }
        }
    }
    files.sort();
    files
}

#[test]
fn an_altered_bundle_is_refuted() {
    let (post, devices) = Post::serving(&["2503851234"]);
    let octets = letters::letter("<one@ministry.example>", &post.mailbox("2503851234"), 500);
    let id = post
        .smtp()
        .unwrap()
        .send_for_id(
            "office@ministry.example",
            &[&post.mailbox("2503851234")],
            &octets,
        )
        .unwrap();
    drop(devices);
    let zip = post.scratch().join("bundle.zip");
    post.must(&[
        "evidence",
        "export",
        &id,
        "--out",
        path_text(&zip),
        "--with-original",
    ]);
    let anchors = post.anchors();
    let verify = |file: &str, more: &[&str]| {
        post.knik(&[&["verify", file, "--anchors", path_text(&anchors)], more].concat())
    };
    assert_eq!(verify("bundle.zip", &[]).code, 0);
    // With the right message, also with its line ends changed; with another, no.
    let message = post.scratch().join("message.eml");
    let text = String::from_utf8(octets).unwrap();
    for (text, code) in [
        (text.clone(), 0),
        (text.replace("\r\n", "\n"), 0),
        (text.replace("two", "three"), 1),
    ] {
        std::fs::write(&message, text).unwrap();
        let ended = verify("bundle.zip", &["--message", "message.eml"]);
        assert_eq!(ended.code, code, "{ended:?}");
    }
    if !tools::have(&["python3"]) {
        return;
    }
    let refuted = tools::python(
        "alter_bundle.py",
        &[path_text(&zip), path_text(post.scratch())],
    );
    assert!(refuted.lines().count() >= 6, "{refuted}");
    for file in refuted.lines() {
        let ended = verify(file, &[]);
        assert_fault(&ended, 1, &[], file);
        let json: serde_json::Value = serde_json::from_str(&verify(file, &["--json"]).out).unwrap();
        assert_eq!(json["verified"], false, "{file}: {json}");
    }
}
