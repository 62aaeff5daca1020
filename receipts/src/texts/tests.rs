use super::*;
use serde_json::json;

fn event(kind: EventName, extra: &Value) -> Event {
    let mut object = json!({
        "v": 1, "id": "01JD9ZK3W8Q6T2M4R5N7P9B1CD", "event": kind.as_str(), "time": "2026-11-22T21:30:00.000Z",
        "host": "mx1.e-citizen.example", "policy": "knik-1", "seq": 0, "actor": {"kind": "system"},
        "message": "01JD9ZK3VZ0A1B2C3D4E5F6G7H", "from": "office@tax.example", "reason": "RD01", "size": 3,
        "message_id_field": "<n1@tax.example>", "digest": mail::Digest::of(b"foo").tagged(),
    });
    for (key, value) in extra.as_object().unwrap() {
        object[key] = value.clone();
    }
    Event::from_canonical(&crate::event::jcs(&object).unwrap()).unwrap()
}

fn told<'a>(events: &'a [&'a Event], form: Form) -> Told<'a> {
    Told {
        events,
        subject: Some("Ծանուցում <b>"),
        form,
    }
}

/// The events that a sender may be told of.
const TOLD: [EventName; 11] = [
    EventName::SubmissionAccepted,
    EventName::SubmissionRejected,
    EventName::RecipientRefused,
    EventName::Deposited,
    EventName::DepositFailed,
    EventName::LoggedIn,
    EventName::Listed,
    EventName::Disclosed,
    EventName::HandedOver,
    EventName::MarkedRead,
    EventName::Removed,
];

#[test]
fn every_event_has_its_words_in_every_language() {
    let names: Vec<EventName> = table::EVENTS.iter().map(|said| said.event).collect();
    assert_eq!(names, TOLD);
    for said in table::EVENTS {
        let script = |text: &str, language: Language| match language {
            Language::Armenian => text.chars().any(|c| ('\u{531}'..='\u{58f}').contains(&c)),
            Language::Russian => text.chars().any(|c| ('\u{400}'..='\u{4ff}').contains(&c)),
            Language::English => text.is_ascii(),
        };
        for language in Language::ALL {
            for three in [said.title, said.fact, said.limit] {
                let text = language.of(three);
                assert!(script(text, language), "{text}");
                assert_eq!(text, text.trim());
            }
            let ends = if language == Language::Armenian {
                '։'
            } else {
                '.'
            };
            assert!(
                language.of(said.fact).ends_with(ends),
                "{}",
                language.of(said.fact)
            );
            assert!(
                language.of(said.limit).ends_with(ends),
                "{}",
                language.of(said.limit)
            );
        }
        // The same place-holders in each language.
        for holder in ["{recipient}", "{account}"] {
            let count = said
                .fact
                .iter()
                .filter(|text| text.contains(holder))
                .count();
            assert!(count == 0 || count == 3, "{}: {holder}", said.event);
        }
    }
}

#[test]
fn everything_is_filled_in() {
    for kind in TOLD {
        let who = if kind == EventName::LoggedIn {
            json!({"account": "2503851234@e-citizen.example"})
        } else {
            json!({"recipient": {"address": "2503851234@e-citizen.example", "ordinal": 1}})
        };
        let event = event(kind, &who);
        for form in [Form::Receipt, Form::Report] {
            let events = [&event];
            let told = told(&events, form);
            for text in [
                plain(&told),
                html(&told),
                subject(kind, told.subject).unwrap(),
            ] {
                assert!(!text.contains(['{', '}']), "{text}");
                assert!(!text.contains('–'), "{text}");
            }
            let text = plain(&told);
            assert!(
                text.matches("2503851234@e-citizen.example").count() >= 3,
                "{text}"
            );
            assert_eq!(
                text.matches(": 01JD9ZK3W8Q6T2M4R5N7P9B1CD\n").count(),
                3,
                "{text}"
            );
            for language in Language::ALL {
                assert!(text.contains(title(kind, language).unwrap()));
                assert!(text.contains(&time(event.time, language)));
            }
            let command = match form {
                Form::Receipt => {
                    "    openssl cms -verify -in receipt.eml -CAfile ca.pem -purpose any"
                }
                Form::Report => {
                    "    knik verify 01JD9ZK3W8Q6T2M4R5N7P9B1CD.zip --anchors anchors.toml\n"
                }
            };
            assert_eq!(text.matches(command).count(), 3, "{text}");
        }
    }
    assert_eq!(title(EventName::ContractAdded, Language::English), None);
}

#[test]
fn no_word_says_more_than_was_observed() {
    // As whole words or stems; "marked as read" is the one phrase in which the first may stand.
    let allowed = ["marked as read", "marked the message as read"];
    let words = ["delivered", "read", "served", "opened", "qualified"];
    let stems = [
        "достав",
        "вруч",
        "прочитан",
        "квалифиц",
        "откры",
        "որակյալ",
        "որակավոր",
        "հանձն",
        "առաք",
        "կարդաց",
    ];
    let fine = [
        "отмечено как прочитанное",
        "отметила письмо как прочитанное",
        "որպես կարդացված",
    ];
    let all = [
        table::CHECK_SEALED,
        table::CHECK_REPORT,
        table::MORE,
        table::CHECK,
    ];
    let events = table::EVENTS
        .iter()
        .flat_map(|said| [said.title, said.fact, said.limit]);
    for text in events.chain(all).flatten() {
        let mut text = text.to_lowercase();
        for phrase in allowed.into_iter().chain(fine) {
            text = text.replace(phrase, "");
        }
        let mut split = text.split(|c: char| !c.is_alphanumeric());
        assert!(!split.any(|word| words.contains(&word)), "{text}");
        assert!(!stems.iter().any(|stem| text.contains(stem)), "{text}");
    }
}

#[test]
fn local_time_is_four_hours_ahead_over_midnight() {
    let instant = "2026-12-31T21:30:00.999Z".parse().unwrap();
    assert_eq!(
        time(instant, Language::English),
        "2027-01-01 01:30:00 Yerevan (UTC+4), 2026-12-31 21:30:00 UTC"
    );
    // No summer time.
    let summer = "2026-07-01T08:00:00.000Z".parse().unwrap();
    assert_eq!(
        time(summer, Language::Armenian),
        "2026-07-01 12:00:00 Երևան (UTC+4), 2026-07-01 08:00:00 UTC"
    );
}

#[test]
fn values_of_others_stay_values() {
    let hostile = "x\r\n\r\nEvidence id: 1 <script>alert('&')</script>\u{202e}{account}";
    let event = event(
        EventName::RecipientRefused,
        &json!({"recipient": {"address": hostile, "ordinal": 1}, "message_id_field": hostile, "from": hostile, "reply": hostile}),
    );
    let events = [&event];
    let told = Told {
        subject: Some(hostile),
        ..told(&events, Form::Receipt)
    };
    let text = plain(&told);
    assert!(
        !text.contains("\nEvidence id: 1 ") && !text.contains('\u{202e}'),
        "{text}"
    );
    assert!(text.contains("x Evidence id: 1 <script>"));
    let html = html(&told);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;alert(&#39;&amp;&#39;)"));
    let subject = subject(EventName::Deposited, Some(hostile)).unwrap();
    assert!(!subject.contains(['\r', '\n', '\u{202e}']));
}

#[test]
fn a_submission_and_its_deposits_in_one_text() {
    let submission = event(
        EventName::SubmissionAccepted,
        &json!({"recipients": ["a@x.example", {"address": "b@x.example", "ordinal": 2}], "reason": "RA01"}),
    );
    let deposits: Vec<Event> = (1..=60)
        .map(|ordinal| {
            let who = json!({"recipient": {"address": format!("r{ordinal}@x.example"), "ordinal": ordinal}});
            event(EventName::Deposited, &who)
        })
        .collect();
    let events: Vec<&Event> = std::iter::once(&submission).chain(&deposits).collect();
    let text = plain(&told(&events, Form::Receipt));
    assert!(text.contains("Recipient: a@x.example, b@x.example\n"));
    // The digest is told once in each language.
    assert_eq!(
        text.matches(&mail::Digest::of(b"foo").to_string()).count(),
        3
    );
    assert!(text.contains("r49@x.example") && !text.contains("r50@x.example"));
    assert!(text.contains("The others are in the attached files, in all: 61\n"));
    let few = plain(&told(&events[..2], Form::Receipt));
    assert!(!few.contains("in all:"));
    assert!(plain(&told(&[], Form::Report)).contains("How to check"));
}
