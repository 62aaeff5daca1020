//! What a sender pays, and the papers around a contract: made by a post from its evidence, checked by others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::letters::letter;
use crate::harness::post::{Ended, KNIK, Port, path_text, text};
use crate::harness::{Post, eventually, tools};

const HOLDERS: [&str; 2] = ["2503851234", "2503851235"];
const PATIENCE: Duration = Duration::from_secs(40);

/// Three units free, told at two of them; a unit costs 50.01, then 40.00; tax 20 %.
const PRICES: &str = r#"
id = "own"
version = 1
source = "a test"
note = "sample amounts"
currency = "AMD"
minor_digits = 2
valid_from = "2020-01-01"
valid_until = ""
unit = "recipient"
free_units = 3
minimum_fee = 0
vat_basis_points = 2000
rounding = "half-up"
round_to = 100
ceiling = 1000000
title = { hy = "Գնացուցակ", ru = "Прейскурант", en = "Prices" }
class = [
    { word = "letter", max_bytes = 4000, title = { hy = "նամակ", ru = "письмо", en = "letter" } },
    { word = "parcel", title = { hy = "ծանրոց", ru = "посылка", en = "parcel" } },
]
tier = [
    { from = 1, price = { letter = 5001, parcel = 9000 } },
    { from = 3, price = { letter = 4000, parcel = 8000 } },
]
alert = [{ of = "free-units", percent = 60 }, { of = "free-units", percent = 100 }, { of = "ceiling", percent = 100 }]
"#;

/// A post with prices of its own, and the id of its one contract; not yet serving.
fn priced() -> (Post, String) {
    let post = Post::new();
    let data = post.scratch().join("contracts");
    std::fs::create_dir_all(data.join("prices")).unwrap();
    for name in ["kinds.toml", "contract.toml"] {
        let from = tools::root().join("etc/contracts").join(name);
        let text = std::fs::read_to_string(from).unwrap();
        let text = text
            .replace("\"am-public\"", "\"own\"")
            .replace("\"am-sample\"", "\"own\"");
        std::fs::write(data.join(name), text).unwrap();
    }
    std::fs::write(data.join("prices/own-1.toml"), PRICES).unwrap();
    post.set("data", &format!("\"{}\"", data.display()))
        .unwrap();
    let contract = post.contract_with(&[
        "--name",
        "Դատարան <First & Last>",
        "--ip",
        "127.0.0.2",
        "--domain",
        "ministry.example",
        "--receipts-to",
        "billing@ministry.example",
        "--profile",
        "pull",
        "--kind",
        "court",
    ]);
    for holder in HOLDERS {
        post.account(holder);
    }
    (post, contract)
}

fn send(post: &Post, name: &str, to: &[&str], size: usize) {
    let to: Vec<String> = to.iter().map(|local| post.mailbox(local)).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let octets = letter(&format!("<{name}@ministry.example>"), to[0], size);
    let mut smtp = post.smtp().unwrap();
    smtp.send("office@ministry.example", &to, &octets).unwrap();
}

/// What was accepted of the sender; the post's own notices are not among it.
fn accepted(post: &Post) -> Vec<Value> {
    let all = post.json(&["contract", "list"]);
    let sender = all.iter().find(|one| one["kind"] == "court").unwrap();
    post.evidence(&[
        "--contract",
        &text(sender, "id"),
        "--event",
        "submission-accepted",
    ])
}

/// The month in Yerevan in which the first letter was accepted.
fn month(post: &Post) -> String {
    let first = &accepted(post)[0];
    let time: jiff::Timestamp = text(first, "time").parse().unwrap();
    let zone = jiff::tz::TimeZone::get("Asia/Yerevan").unwrap();
    time.to_zoned(zone).strftime("%Y-%m").to_string()
}

fn check(post: &Post, options: &[&str]) -> Ended {
    // Offline: no configuration is there to be found.
    Ended::of(
        Command::new(KNIK)
            .args(["statement", "check"])
            .args(options)
            .env("KNIK_CONFIG", "/nonexistent")
            .current_dir(post.scratch()),
    )
}

fn written(post: &Post, name: &str, octets: &str) -> PathBuf {
    let path = post.scratch().join(name);
    std::fs::write(&path, octets).unwrap();
    path
}

#[test]
fn a_statement_is_made_of_evidence_and_its_sender_can_compute_it_again() {
    let (mut post, contract) = priced();
    post.start();
    // Units: 2 free; 1 free and 1 at 50.01; 1 at 50.01, a parcel at 80.00.
    send(&post, "one", &HOLDERS, 1_000);
    send(&post, "two", &HOLDERS, 1_000);
    send(&post, "three", &HOLDERS[..1], 1_000);
    send(&post, "four", &HOLDERS[1..], 20_000);
    let month = month(&post);
    let arguments = [
        "contract",
        "statement",
        contract.as_str(),
        "--month",
        &month,
    ];
    let json = post.must(&[&arguments[..], &["--json"]].concat());
    let statement: Value = serde_json::from_str(&json).unwrap();
    let accepted = accepted(&post);
    let ids = |list: &[Value]| list.iter().map(|one| text(one, "id")).collect::<Vec<_>>();
    let lines = statement["lines"].as_array().unwrap();
    assert_eq!(ids(lines), ids(&accepted));
    let of = |key: &str| {
        lines
            .iter()
            .map(|line| line[key].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("free"), [2, 1, 0, 0]);
    assert_eq!(of("amount"), [0, 5_001, 5_001, 8_000]);
    let sums = &statement["sums"];
    for (key, value) in [
        ("lines", 18_002),
        ("vat", 3_600),
        ("rounding", -2),
        ("payable", 21_600),
    ] {
        assert_eq!(sums[key], value, "{key}: {sums}");
    }
    // Made again, it is the same to the octet.
    assert_eq!(post.must(&[&arguments[..], &["--json"]].concat()), json);

    let prices = path_text(&post.scratch().join("contracts/prices/own-1.toml")).to_owned();
    let whole = written(&post, "statement.json", &json);
    let checked = check(&post, &[path_text(&whole), "--prices", &prices]);
    assert_eq!(checked.code, 0, "{checked:#?}");
    // A sender's editor may lay it out anew.
    let anew = written(&post, "anew.json", &json.replace('\n', "\r\n\t"));
    assert_eq!(
        check(&post, &[path_text(&anew), "--prices", &prices]).code,
        0
    );
    refuted_where_it_is_wrong(&post, &json, &prices);
    proved_by_bundles(&post, &json, &prices);
    as_csv_and_on_paper(&post, &arguments);
}

/// Whatever is changed is found, and named by its line.
fn refuted_where_it_is_wrong(post: &Post, json: &str, prices: &str) {
    for (old, new, what) in [
        (
            "\"amount\":5001",
            "\"amount\":5002",
            "line 2: amount is 5002, and 5001 by the price list",
        ),
        (
            "\"free\":2",
            "\"free\":1",
            "line 1: free is 1, and 2 by the price list",
        ),
        (
            "\"line\":3",
            "\"line\":4",
            "line 3: line is 4, and 3 by the price list",
        ),
        (
            "\"recipients\":2",
            "\"recipients\":9",
            "line 1: units is 2, and 9 by the price list",
        ),
        (
            "\"payable\":21600",
            "\"payable\":21700",
            "the sums: payable is 21700, and 21600 by the lines",
        ),
        (
            "\"erased\":false",
            "\"erased\":true",
            "the sums: lines_digest",
        ),
        ("\"version\":1", "\"version\":2", "the head: prices"),
        (
            "\"zone\":\"Asia/Yerevan\"",
            "\"zone\":\"UTC\"",
            "the head: from, until",
        ),
    ] {
        assert!(json.contains(old), "{old}: {json}");
        let file = written(post, "wrong.json", &json.replacen(old, new, 1));
        let ended = check(post, &[path_text(&file), "--prices", prices]);
        assert_eq!(ended.code, 1, "{new}: {ended:#?}");
        assert!(ended.err.contains(what), "{new}: {ended:#?}");
    }
    // A line charged twice, and one left out.
    let lines: Vec<&str> = json.lines().collect();
    let twice = [&lines[..3], &lines[2..]].concat().join("\n");
    let without = [&lines[..2], &lines[3..]].concat().join("\n");
    for (wrong, what) in [(twice, "line 1: id:"), (without, "line 1: ")] {
        let file = written(post, "wrong.json", &wrong);
        let ended = check(post, &[path_text(&file), "--prices", prices]);
        assert_eq!(ended.code, 1, "{ended:#?}\n{wrong}");
        assert!(ended.err.contains(what), "{ended:#?}");
    }
    // What is no statement cannot be checked; other prices make another statement.
    for (text, code) in [
        ("{}", 2),
        ("", 2),
        ("[1]", 2),
        (&json[..json.len() / 2], 2),
        (&format!("{json}x"), 2),
    ] {
        let file = written(post, "wrong.json", text);
        let ended = check(post, &[path_text(&file), "--prices", prices]);
        assert_eq!(
            (ended.code, ended.err.lines().count()),
            (code, 1),
            "{ended:#?}"
        );
    }
    let other = written(post, "other.toml", &PRICES.replace("5001", "5000"));
    let whole = path_text(&post.scratch().join("statement.json")).to_owned();
    let ended = check(post, &[&whole, "--prices", path_text(&other)]);
    assert_eq!(ended.code, 1, "{ended:#?}");
}

/// The sender's own bundles prove lines, and refute what they were changed to.
fn proved_by_bundles(post: &Post, json: &str, prices: &str) {
    let id = text(&accepted(post)[1], "id");
    let folder = post.scratch().join("bundles");
    std::fs::create_dir_all(&folder).unwrap();
    let bundle = folder.join("two.zip");
    eventually(PATIENCE, || {
        // Until the log has published it.
        let ended = post.knik(&["evidence", "export", &id, "--out", path_text(&bundle)]);
        if ended.code == 0 {
            Ok(())
        } else {
            Err(ended.err)
        }
    });
    let anchors = post.anchors();
    let with = |file: &Path| {
        let options = [
            path_text(file),
            "--prices",
            prices,
            "--bundle",
            path_text(&folder),
            "--anchors",
        ];
        check(
            post,
            &[&options[..], &[path_text(&anchors), "--json"]].concat(),
        )
    };
    let ended = with(&post.scratch().join("statement.json"));
    assert_eq!(ended.code, 0, "{ended:#?}");
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (&report["proved"], &report["lines"]),
        (&1.into(), &4.into())
    );
    // Within its class a size changes no amount: only the evidence tells.
    let line = json.lines().find(|line| line.contains(&id)).unwrap();
    let size = line
        .split("\"size\":")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    let wrong = line.replace(&format!("\"size\":{size}"), "\"size\":17");
    let file = written(post, "wrong.json", &json.replace(line, &wrong));
    let ended = with(&file);
    assert_eq!(ended.code, 1, "{ended:#?}");
    assert!(
        ended
            .err
            .contains(&format!("line 2: size is 17, and {size} in the evidence")),
        "{ended:#?}"
    );
}

fn as_csv_and_on_paper(post: &Post, arguments: &[&str]) {
    let csv = post.must(&[arguments, &["--csv"]].concat());
    let file = written(post, "statement.csv", &csv);
    if tools::have(&["python3"]) {
        let script = "import csv,sys\nrows=list(csv.DictReader(open(sys.argv[1],newline='')))\n\
             lines=[r for r in rows if r['kind']=='line']\n\
             sums={r['kind']:int(r['amount']) for r in rows if r['kind'] not in ('line','class')}\n\
             assert sum(int(r['amount']) for r in lines)==sums['lines'], sums\n\
             assert sums['net']+sums['vat']+sums['rounding']==sums['payable'], sums\n\
             assert all(None not in r and None not in r.values() for r in rows)\nprint(len(lines), sums['payable'])";
        let said = tools::must(Command::new("python3").args(["-c", script, path_text(&file)]));
        assert_eq!(said.trim(), "4 21600");
    }
    let pdf = post.scratch().join("statement.pdf");
    post.must(&[arguments, &["--pdf", path_text(&pdf)]].concat());
    if let Some(said) = text_of(&pdf) {
        for wanted in [
            "Ամսական հաշիվ",
            "Месячный счёт",
            "216.00 AMD",
            "Դատարան <First & Last>",
        ] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    }
    let human = post.must(arguments);
    assert!(
        human.contains("216.00 AMD") && human.contains("80.00 AMD"),
        "{human}"
    );
    let none = post.knik(&[
        "contract",
        "statement",
        "01JD9YV0000000000000000001",
        "--month",
        "2026-11",
    ]);
    assert_eq!(none.code, 1, "{none:#?}");
    let before = post.knik(&["contract", "statement", arguments[2], "--month", "2019-11"]);
    assert_eq!(before.code, 2, "{before:#?}");
    assert!(
        before
            .err
            .contains("no version of the price list \"own\" applies to 2019-11"),
        "{before:#?}"
    );
}

/// The text of a PDF on one line, if pdftotext is there.
fn text_of(pdf: &Path) -> Option<String> {
    if !tools::have(&["pdftotext"]) {
        return None;
    }
    let said = tools::must(Command::new("pdftotext").args([path_text(pdf), "-"]));
    Some(said.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The names of the usage notices in the queue, without the contract.
fn notices(post: &Post) -> Vec<String> {
    let letters = post.json(&["queue", "list"]);
    let names = letters.iter().map(|one| text(one, "message_id_field"));
    let mut names: Vec<String> = names
        .filter_map(|name| {
            Some(
                name.strip_prefix("<usage.")?
                    .split('@')
                    .next()?
                    .rsplit('.')
                    .next()?
                    .to_owned(),
            )
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_sender_is_told_of_its_use_once_whatever_crashes() {
    let (mut post, _) = priced();
    post.start();
    send(&post, "one", &HOLDERS[..1], 1_000);
    send(&post, "two", &HOLDERS[..1], 1_000);
    let is_told = |post: &Post, wanted: &[&str]| {
        eventually(PATIENCE, || match notices(post) {
            found if found == wanted => Ok(()),
            found => Err(format!("{found:?}, not {wanted:?}")),
        });
    };
    is_told(&post, &["free-units-60"]);
    post.kill();
    post.start();
    // What was told before the crash is not told again, though the month is counted from its beginning.
    send(&post, "three", &HOLDERS[..1], 1_000);
    is_told(&post, &["free-units-100", "free-units-60"]);
    let queue = post.json(&["queue", "list"]);
    let letter = queue[0]["letter"].to_string();
    let octets = post.must(&["queue", "show", &letter, "--octets"]);
    for wanted in [
        "To: <billing@ministry.example>",
        "Auto-Submitted: auto-generated",
        "Content-Language: hy, ru, en",
    ] {
        assert!(octets.contains(wanted), "{wanted}: {octets}");
    }
    post.stop();
    assert_eq!(notices(&post).len(), 2);
}

#[test]
fn the_papers_of_a_contract_are_made_of_its_data() {
    let (mut post, contract) = priced();
    let html = post.scratch().join("contract.html");
    let pdf = post.scratch().join("contract.pdf");
    let make = |format: &str, lang: &str, file: &Path| {
        let arguments = [
            "contract", "document", &contract, "--format", format, "--lang", lang, "--out",
        ];
        text(
            &post.json(&[&arguments[..], &[path_text(file)]].concat())[0],
            "digest",
        )
    };
    let digests = [make("html", "all", &html), make("pdf", "hy", &pdf)];
    assert_eq!(
        digests,
        [make("html", "all", &html), make("pdf", "hy", &pdf)]
    );
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.contains("Դատարան &lt;First &amp; Last&gt;") && !page.contains("<First"));
    if let Some(said) = text_of(&pdf) {
        for wanted in ["Պայմանագիր պաշտոնական", "ministry.example", &contract] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    }
    let unkind = post.contract("No Kind", "127.0.0.3", "other.example");
    let refused = post.knik(&[
        "contract",
        "document",
        &unkind,
        "--format",
        "html",
        "--out",
        path_text(&html),
    ]);
    assert_eq!(refused.code, 2, "{refused:#?}");
    assert!(
        refused.err.contains("{kind} cannot be filled in"),
        "{refused:#?}"
    );

    let needed = post.json(&["contract", "requirements", "--kind", "court"]);
    assert_eq!(
        needed[0]["documents"].as_array().unwrap().len(),
        3,
        "{needed:?}"
    );
    assert_eq!(
        post.knik(&["contract", "requirements", "--kind", "guild"])
            .code,
        1
    );
    let shown = post.must(&["contract", "requirements", "--lang", "ru"]);
    assert!(shown.contains("Суд (court)"), "{shown}");

    // Who is entitled: by contract alone, and no more than the public may know.
    post.must(&["contract", "suspend", &unkind, "--why", "a test"]);
    let entitled = post.json(&["contract", "entitled"]);
    assert_eq!(entitled.len(), 1, "{entitled:?}");
    assert_eq!(
        entitled[0]["domains"],
        serde_json::json!(["ministry.example"])
    );
    post.start();
    if !tools::have(&["curl"]) {
        return;
    }
    let fetch = |path: &str| {
        let url = format!("http://{}{path}", post.socket(Port::Http));
        tools::must(Command::new("curl").args(["-sS", "--fail", &url]))
    };
    let list: Value = serde_json::from_str(&fetch("/entitled.json")).unwrap();
    assert_eq!(list, Value::Array(entitled));
    let page = fetch("/entitled");
    for wanted in [
        "<section lang=\"hy\">",
        "<section lang=\"ru\">",
        "<section lang=\"en\">",
        "Դատարան &lt;First",
    ] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    for hidden in ["127.0.0.2", "billing@", "No Kind", HOLDERS[0]] {
        assert!(!page.contains(hidden), "{hidden}");
    }
    let figures = fetch("/metrics");
    assert!(figures.contains("knik_usage_alerts_total 0"), "{figures}");
}

#[test]
fn a_month_is_billed_by_the_list_that_the_contract_named_last() {
    let (mut post, contract) = priced();
    let other = PRICES
        .replace("id = \"own\"", "id = \"dear\"")
        .replace("free_units = 3", "free_units = 1");
    let folder = post.scratch().join("contracts/prices");
    std::fs::write(folder.join("dear-1.toml"), other).unwrap();
    post.start();
    send(&post, "one", &HOLDERS, 1_000);
    let month = month(&post);
    let arguments = ["contract", "statement", &contract, "--month", &month];
    let made = |post: &Post| {
        let made = post.must(&[&arguments[..], &["--json"]].concat());
        let made: Value = serde_json::from_str(&made).unwrap();
        let (head, sums) = (&made["prices"]["id"], &made["sums"]["payable"]);
        (head.as_str().unwrap().to_owned(), sums.as_u64().unwrap())
    };
    assert_eq!(made(&post), ("own".to_owned(), 0));
    post.must(&[
        "contract", "set", &contract, "--tariff", "dear", "--why", "a test",
    ]);
    assert_eq!(made(&post), ("dear".to_owned(), 6_000));
}

#[test]
fn data_that_does_not_hold_is_refused_by_file_and_key() {
    let (post, _) = priced();
    let prices = post.scratch().join("contracts/prices/own-1.toml");
    std::fs::write(&prices, PRICES.replace("round_to = 100", "round_to = 0")).unwrap();
    let ended = post.knik(&["contract", "entitled"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(
        ended
            .err
            .contains("own-1.toml: round_to: must be at least 1"),
        "{ended:#?}"
    );
}
