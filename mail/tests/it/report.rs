//! Reports as others read them: Python's email package and mail-parser; and senders who would like to write in them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use mail::report::{
    Action, ActionMode, AutoSubmitted, DeliveryReport, Diagnostic, DispositionReport, Heading,
    HumanText, Mailbox, MsgId, RecipientReport, ReportError, Ret,
};
use mail::structure::Kind;
use proptest::prelude::*;

use super::examine;

const ORIGINAL: &[u8] = b"From: Office <office@tax.example>\r\nMessage-ID: <n1@tax.example>\r\nSubject: Notice\r\n\r\nDear citizen,\r\n--=_\r\n.\r\n";

fn heading(subject: &str) -> Heading {
    Heading {
        from: Mailbox {
            name: Some("Պաշտոնական փոստ".into()),
            address: "postmaster@e-citizen.example".parse().unwrap(),
        },
        sender: None,
        to: "office@tax.example".parse().unwrap(),
        subject: subject.into(),
        date: "2026-11-22T09:00:00.250Z".parse().unwrap(),
        msg_id: MsgId::new("01KAP000000000000000000000.dsn", "mx.e-citizen.example").unwrap(),
        answers: MsgId::of_field("<n1@tax.example>"),
        auto_submitted: AutoSubmitted::Replied,
    }
}

fn human() -> HumanText {
    HumanText {
        languages: "hy, ru, en".into(),
        text: "Ծանուցումը տեղադրվել է։\nУведомление размещено.\nThe notice was deposited.\n".into(),
    }
}

fn recipient(address: &str, action: Action, status: &str) -> RecipientReport {
    RecipientReport {
        original_recipient: Some(format!("rfc822;{}", address.to_uppercase())),
        final_recipient: address.parse().unwrap(),
        action,
        status: status.into(),
        remote_mta: None,
        diagnostic: None,
        last_attempt: Some("2026-11-22T09:00:01.000Z".parse().unwrap()),
        final_log_id: Some("01KAP000000000000000000001".into()),
        will_retry_until: None,
        extensions: vec![("Event".into(), "deposited".into())],
    }
}

fn delivery(recipients: Vec<RecipientReport>) -> DeliveryReport<'static> {
    DeliveryReport {
        heading: heading("Ծանուցումը տեղադրվել է / Уведомление размещено / Deposited: Notice"),
        human: human(),
        reporting_mta: "mx.e-citizen.example".into(),
        envelope_id: Some("case 7+8".into()),
        arrival: "2026-11-22T09:00:00.000Z".parse().unwrap(),
        extensions: vec![
            ("Evidence".into(), "01KAP000000000000000000000".into()),
            ("Digest".into(), mail::Digest::of(ORIGINAL).tagged()),
        ],
        recipients,
        ret: Some(Ret::Full),
        original: ORIGINAL,
        takes_8bit: false,
    }
}

fn disposition() -> DispositionReport<'static> {
    let holder = "2503851234@e-citizen.example";
    let mut heading = heading("Marked as read: Notice");
    heading.sender = Some(std::mem::replace(
        &mut heading.from,
        Mailbox {
            name: None,
            address: holder.parse().unwrap(),
        },
    ));
    DispositionReport {
        heading,
        human: human(),
        host: "mx.e-citizen.example".into(),
        original_recipient: None,
        final_recipient: holder.parse().unwrap(),
        original_message_id: MsgId::of_field("<n1@tax.example>"),
        mode: ActionMode::Manual,
        extensions: vec![("Evidence".into(), "01KAP000000000000000000004".into())],
        original: Some(ORIGINAL),
    }
}

/// What Python's email package finds; `None` without Python, which CI must have.
fn python(octets: &[u8], more: &[&str]) -> Option<String> {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/py/walk.py");
    let child = Command::new("python3")
        .arg(script)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(!ci, "python3 is not installed, and CI must have it");
        eprintln!("skipped: python3 is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(octets).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(octets)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

fn holds(found: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            found.lines().any(|there| there.trim() == *line),
            "{line:?} is not in\n{found}"
        );
    }
}

#[test]
fn a_delivery_report_has_a_group_for_each_recipient() {
    let mut failed = recipient("c@e-citizen.example", Action::Failed, "5.2.1");
    failed.diagnostic = Some(Diagnostic::Own("the account was closed".into()));
    let mut delayed = recipient("d@e-citizen.example", Action::Delayed, "4.4.1");
    delayed.remote_mta = Some("mx.other.example".into());
    delayed.diagnostic = Some(Diagnostic::Smtp(format!("451 4.4.1 {}", "try ".repeat(40))));
    delayed.will_retry_until = Some("2026-11-27T09:00:00.000Z".parse().unwrap());
    let report = delivery(vec![
        recipient("a@e-citizen.example", Action::Delivered, "2.1.5"),
        recipient("\"b  c\"@e-citizen.example", Action::Relayed, "2.1.5"),
        failed,
        delayed,
    ]);
    let octets = report.build().unwrap();
    assert_eq!(octets, report.build().unwrap());
    let structure = examine(&octets);
    assert_eq!(structure.parts[0].kind, Kind::Multipart);
    assert!(structure.notes.is_empty(), "{:?}", structure.notes);
    // RET=FULL with a failure: the original comes back, octet for octet.
    let part = structure
        .parts
        .iter()
        .find(|part| part.kind == Kind::Message)
        .unwrap();
    let range = part.body.start as usize..part.body.end as usize;
    assert_eq!(&octets[range], ORIGINAL);
    let Some(found) = python(&octets, &[]) else {
        return;
    };
    assert_eq!(found.matches("Final-Recipient:").count(), 4, "{found}");
    assert_eq!(found.matches("[message/delivery-status]").count(), 1);
    // Each group is a header of its own to the package: the submission's, then one per recipient, nothing after them;
    // and there is the original's text.
    assert_eq!(found.matches("    [text/plain]").count(), 5 + 1, "{found}");
    holds(
        &found,
        &[
            "From: Պաշտոնական փոստ <postmaster@e-citizen.example>",
            "To: office@tax.example",
            "Subject: Ծանուցումը տեղադրվել է / Уведомление размещено / Deposited: Notice",
            "Date: Sun, 22 Nov 2026 09:00:00 +0000",
            "Message-ID: <01KAP000000000000000000000.dsn@mx.e-citizen.example>",
            "In-Reply-To: <n1@tax.example>",
            "References: <n1@tax.example>",
            "Auto-Submitted: auto-replied",
            "Content-Language: hy, ru, en",
            "| Ծանուցումը տեղադրվել է։",
            "Original-Envelope-Id: case 7+8",
            "Reporting-MTA: dns; mx.e-citizen.example",
            "Arrival-Date: Sun, 22 Nov 2026 09:00:00 +0000",
            "X-Knik-Evidence: 01KAP000000000000000000000",
            "Original-Recipient: rfc822;A@E-CITIZEN.EXAMPLE",
            "Final-Recipient: rfc822; a@e-citizen.example",
            "Final-Recipient: rfc822; \"b  c\"@e-citizen.example",
            "Action: delivered",
            "Action: relayed",
            "Action: failed",
            "Action: delayed",
            "Status: 5.2.1",
            "Diagnostic-Code: x-knik; the account was closed",
            "Last-Attempt-Date: Sun, 22 Nov 2026 09:00:01 +0000",
            "Final-Log-ID: 01KAP000000000000000000001",
            "Will-Retry-Until: Fri, 27 Nov 2026 09:00:00 +0000",
            "Remote-MTA: dns; mx.other.example",
            "X-Knik-Event: deposited",
            "[message/rfc822]",
        ],
    );
}

#[test]
fn a_disposition_report_says_displayed_and_by_what_act() {
    let mut report = disposition();
    let octets = report.build().unwrap();
    assert!(examine(&octets).notes.is_empty());
    if let Some(found) = python(&octets, &[]) {
        holds(
            &found,
            &[
                "From: 2503851234@e-citizen.example",
                "Sender: Պաշտոնական փոստ <postmaster@e-citizen.example>",
                "[message/disposition-notification]",
                "[text/rfc822-headers]",
                "| Message-ID: <n1@tax.example>",
            ],
        );
    }
    let fields = "Reporting-UA: mx.e-citizen.example; Knik\r\n\
        Final-Recipient: rfc822; 2503851234@e-citizen.example\r\n\
        Original-Message-ID: <n1@tax.example>\r\n\
        Disposition: manual-action/MDN-sent-automatically; displayed\r\n\
        X-Knik-Evidence: 01KAP000000000000000000004\r\n\r\n--=_";
    assert!(String::from_utf8(octets).unwrap().contains(fields));
    report.mode = ActionMode::Automatic;
    report.original = None;
    let octets = String::from_utf8(report.build().unwrap()).unwrap();
    assert!(
        octets.contains("\r\nDisposition: automatic-action/MDN-sent-automatically; displayed\r\n")
    );
    assert!(!octets.contains("text/rfc822-headers"));
    assert!(octets.contains("report-type=disposition-notification"));
}

/// RFC 3461 §4.3; and what 7-bit lines cannot carry.
#[test]
fn how_much_of_the_original_comes_back() {
    let ascii = ORIGINAL;
    let eight = "Subject: Notice\r\n\r\nՏեքստ\r\n".as_bytes();
    let header8 = "Subject: Ծանուցում\r\n\r\nText\r\n".as_bytes();
    let long = [b"Subject: x\r\n\r\n".as_slice(), &[b'x'; 2000], b"\r\n"].concat();
    let (full, header) = ("message/rfc822", "text/rfc822-headers");
    let (good, bad) = ((Action::Delivered, "2.1.5"), (Action::Failed, "5.2.1"));
    for (ret, original, outcome, takes_8bit, want) in [
        (Some(Ret::Full), ascii, bad, false, full),
        (Some(Ret::Full), ascii, good, false, header),
        (Some(Ret::Hdrs), ascii, bad, false, header),
        (None, ascii, bad, false, header),
        (Some(Ret::Full), eight, bad, false, header),
        (Some(Ret::Full), eight, bad, true, full),
        (Some(Ret::Full), &long, bad, true, header),
        (None, header8, good, false, header),
    ] {
        let mut report = delivery(vec![recipient("a@e-citizen.example", outcome.0, outcome.1)]);
        (report.ret, report.original, report.takes_8bit) = (ret, original, takes_8bit);
        let octets = report.build().unwrap();
        let text = String::from_utf8_lossy(&octets);
        assert!(
            text.contains(&format!("\r\nContent-Type: {want}\r\n")),
            "{text}"
        );
        assert_eq!(
            text.contains("Dear citizen"),
            want == full && original == ascii
        );
        let declared = text.matches("Content-Transfer-Encoding: 8bit\r\n").count();
        assert_eq!(declared, if octets.is_ascii() { 0 } else { 2 });
        python(&octets, if takes_8bit { &["--8bit"] } else { &[] });
    }
}

#[test]
fn nobody_writes_a_field_of_their_own() {
    for bad in [
        "x\r\nBcc: victim@other.example",
        "x\r\n\r\n--=_\r\nContent-Type: text/html\r\n\r\n<b>",
        "x\nBcc: victim@other.example",
        "x\rBcc: victim@other.example",
        "\0\u{1b}[2J",
        "Փակ\u{202e}",
    ] {
        let mut one = recipient("a@e-citizen.example", Action::Failed, "5.2.1");
        one.original_recipient = Some(format!("rfc822;{bad}"));
        one.remote_mta = Some(bad.into());
        one.diagnostic = Some(Diagnostic::Smtp(bad.into()));
        one.extensions = vec![("Why".into(), bad.into())];
        let mut report = delivery(vec![one]);
        report.heading.subject = bad.into();
        report.heading.from.name = Some(bad.into());
        report.heading.answers = MsgId::of_field(&format!("<{bad}@x>"));
        report.envelope_id = Some(bad.into());
        report.ret = None;
        assert_eq!(report.heading.answers, None);
        let octets = report.build().unwrap();
        let text = String::from_utf8(octets.clone()).unwrap();
        for pretended in [
            "\nBcc:",
            "\rBcc:",
            "\0",
            "\u{1b}",
            "Original-Envelope-Id",
            "Original-Recipient",
        ] {
            assert!(!text.contains(pretended), "{pretended:?} in {text}");
        }
        assert_eq!(examine(&octets).parts[0].section, Vec::<u32>::new());
        assert_eq!(text.matches("\r\n--=_").count(), 4, "{text}");
        if let Some(found) = python(&octets, &[]) {
            assert!(
                !found.lines().any(|line| line.trim().starts_with("Bcc:")),
                "{found}"
            );
        }
    }
}

#[test]
fn our_own_mistakes_are_named() {
    let good = || recipient("a@e-citizen.example", Action::Delivered, "2.1.5");
    assert_eq!(delivery(vec![]).build(), Err(ReportError::NoRecipient));
    let mut one = good();
    one.status = "5.1.1".into();
    assert_eq!(
        delivery(vec![one]).build(),
        Err(ReportError::Status("5.1.1".into()))
    );
    let mut report = delivery(vec![good()]);
    report.reporting_mta = "mx\r\nX: y".into();
    assert_eq!(
        report.build(),
        Err(ReportError::Character("Reporting-MTA".into()))
    );
    let mut report = delivery(vec![good()]);
    report.extensions = vec![("Two words".into(), "x".into())];
    assert_eq!(
        report.build(),
        Err(ReportError::Name("X-Knik-Two words".into()))
    );
    let mut report = delivery(vec![good()]);
    report.recipients[0].final_log_id = Some("x\ny".into());
    assert_eq!(
        report.build(),
        Err(ReportError::Character("Final-Log-ID".into()))
    );
}

proptest! {
    /// Whatever others chose, the header of a report has its own fields and no more, and its lines are lines of mail.
    #[test]
    fn any_text_stays_where_it_was_put(
        subject in any::<String>(), name in any::<String>(), envid in any::<String>(), why in any::<String>(),
        id in any::<String>(), original in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut one = recipient("a@e-citizen.example", Action::Failed, "5.2.1");
        one.original_recipient = Some(format!("rfc822;{envid}"));
        one.diagnostic = Some(Diagnostic::Smtp(why));
        let mut report = delivery(vec![one]);
        report.heading.subject = subject.clone();
        report.heading.from.name = Some(name);
        report.heading.answers = MsgId::of_field(&id);
        report.envelope_id = Some(envid);
        report.original = &original;
        report.human.text = subject;
        let octets = report.build().unwrap();
        prop_assert!(octets.is_ascii() && !octets.contains(&0));
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            let line = line.strip_suffix(b"\r\n").unwrap();
            prop_assert!(line.len() <= 998 && !line.contains(&b'\r'));
        }
        let known = [
            "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
            "MIME-Version", "Content-Type",
        ];
        for field in mail::header::fields(&octets) {
            prop_assert!(known.iter().any(|name| field.is(name)), "{}", field.octets.escape_ascii());
        }
        let structure = examine(&octets);
        let direct = structure.parts.iter().filter(|part| part.parent == Some(0)).count();
        prop_assert_eq!(direct, 3);
    }
}
