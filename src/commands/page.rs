//! One event as a page to print, in the three languages of those who read it.

use store::evidence::Record;

use super::evidence::contract_of;

/// A label in Armenian, Russian and English.
type Label = [&'static str; 3];

const TITLE: Label = ["Ապացույց", "Доказательство", "Evidence"];
const EVENT: Label = ["Իրադարձություն", "Событие", "Event"];
const ANNULLED: Label = [
    "Չեղյալ է. տե՛ս ապացույցը",
    "Аннулировано, см. доказательство",
    "Annulled, see evidence",
];
const TIME: Label = ["Ժամանակ (UTC)", "Время (UTC)", "Time (UTC)"];
const REASON: Label = ["Պատճառ", "Причина", "Reason"];
const MESSAGE: Label = ["Հաղորդագրություն", "Сообщение", "Message"];
const FIELD: Label = [
    "Ուղարկողի Message-ID",
    "Message-ID отправителя",
    "Sender's Message-ID",
];
const RECIPIENT: Label = ["Ստացող", "Получатель", "Recipient"];
const CONTRACT: Label = ["Պայմանագիր", "Договор", "Contract"];
const ACCOUNT: Label = ["Հաշիվ", "Учётная запись", "Account"];
const SIZE: Label = ["Չափ (օկտետ)", "Размер (октетов)", "Size (octets)"];
const INDEX: Label = ["Համարը մատյանում", "Номер в журнале", "Place in the log"];
const STATE: Label = ["Վիճակ", "Состояние", "State"];
const NOTE: Label = [
    "Այս էջը տեղեկատվական է։ Ապացույցը ստուգվում է փաթեթով և knik verify հրամանով։",
    "Эта страница справочная. Доказательство проверяется по пакету командой knik verify.",
    "This page informs. The proof is the bundle, checked with knik verify.",
];

/// The page; `issuer` is the operator's name.
pub fn render(record: &Record, state: &str, issuer: &str) -> String {
    let event = &record.event;
    let subject = &event.subject;
    let etsi = event.etsi().map_or(String::new(), |etsi| {
        format!(" (ETSI {} {})", etsi.code.unwrap_or(""), etsi.name)
    });
    let rows: [(Label, Option<String>); 13] = [
        (ANNULLED, record.annulled.map(|id| id.to_string())),
        (EVENT, Some(format!("{}{etsi}", event.event))),
        (TIME, Some(event.time.to_string())),
        (
            REASON,
            subject
                .reason
                .map(|reason| format!("{reason} {}", reason.name())),
        ),
        (MESSAGE, subject.message.map(|id| id.to_string())),
        (FIELD, subject.message_id_field.clone()),
        (
            RECIPIENT,
            subject
                .recipient
                .as_ref()
                .map(|recipient| recipient.address.clone()),
        ),
        (CONTRACT, contract_of(event).map(|id| id.to_string())),
        (ACCOUNT, subject.account.clone()),
        (
            ["SHA-256"; 3],
            subject.digest.map(|digest| digest.to_string()),
        ),
        (SIZE, subject.size.map(|size| size.to_string())),
        (INDEX, Some(record.log_index().to_string())),
        (STATE, Some(state.to_owned())),
    ];
    let rows: String = rows
        .iter()
        .filter_map(|(label, value)| value.as_ref().map(|value| row(label, value)))
        .collect();
    let title = escape(&format!("{} {}", joined(&TITLE), event.id));
    let (issuer, note) = (
        escape(issuer),
        NOTE.map(|line| format!("<p>{}</p>", escape(line))).concat(),
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"hy\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
         body{{font:11pt/1.4 sans-serif;max-width:48rem;margin:2rem auto}}th{{text-align:left;font-weight:normal;\
         color:#444;padding-right:1.5rem;vertical-align:top}}td{{overflow-wrap:anywhere}}</style></head>\n\
         <body><h1>{title}</h1><p>{issuer}</p>\n<table>\n{rows}</table>\n{note}</body></html>\n"
    )
}

fn row(label: &Label, value: &str) -> String {
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n",
        escape(&joined(label)),
        escape(value)
    )
}

fn joined(label: &Label) -> String {
    let mut words = label.to_vec();
    words.dedup();
    words.join(" / ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        let row = row(&FIELD, "<a\"b&c@d>");
        assert!(
            row.ends_with("<td>&lt;a&quot;b&amp;c@d&gt;</td></tr>\n"),
            "{row}"
        );
        assert_eq!(joined(&["SHA-256"; 3]), "SHA-256");
    }
}
