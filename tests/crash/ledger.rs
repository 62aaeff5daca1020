//! What was sent, held against what is there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::load::{Sent, session};
use super::{HOLDERS, selected};
use crate::harness::post::text;
use crate::harness::{Credential, Post};

/// Every letter that was ever begun, by Message-ID.
#[derive(Default)]
pub struct Ledger {
    letters: BTreeMap<String, Sent>,
    /// Message-IDs of the last round: they are sent again.
    last: Vec<String>,
}

impl Ledger {
    pub fn add(&mut self, sent: Vec<Sent>) {
        self.last = sent.iter().map(|sent| sent.message_id.clone()).collect();
        for sent in sent {
            let before = self.letters.insert(sent.message_id.clone(), sent);
            assert!(before.is_none(), "a Message-ID twice: the test is wrong");
        }
    }

    /// Holds evidence and mailboxes against the letters. A letter without a 250 that is there wholly gets its id here.
    pub fn check(&mut self, post: &Post, devices: &[Credential]) {
        let evidence = Evidence::of(post);
        let mailboxes: Vec<BTreeMap<String, Vec<Vec<u8>>>> = devices
            .iter()
            .map(|device| letters_by_message_id(post, device))
            .collect();
        for (sent, mailbox) in self
            .letters
            .values_mut()
            .flat_map(|sent| [(sent, &mailboxes)])
        {
            evidence.settle(sent);
            let octets = sent.octets();
            for (local, letters) in HOLDERS.iter().zip(mailbox) {
                let here = letters.get(&sent.message_id).map_or(&[][..], Vec::as_slice);
                let is_due = sent.id.is_some() && sent.to.contains(&post.mailbox(local));
                assert_eq!(
                    here.len(),
                    usize::from(is_due),
                    "{local} has {sent:?} {} times",
                    here.len()
                );
                assert!(
                    here.iter().all(|original| *original == octets),
                    "{sent:?}: other octets"
                );
            }
        }
        let known: BTreeSet<&String> = self.letters.keys().collect();
        let strange = mailboxes
            .iter()
            .flat_map(BTreeMap::keys)
            .find(|id| !known.contains(id));
        assert_eq!(strange, None, "a letter nobody sent");
    }

    /// All of the last round once more: what was there keeps its id, what was not comes in now.
    pub fn send_again(&mut self, post: &Post) {
        let mut smtp = session(post);
        for message_id in &self.last {
            let sent = self.letters.get_mut(message_id).unwrap();
            let to: Vec<&str> = sent.to.iter().map(String::as_str).collect();
            let id = smtp
                .send_for_id("office@ministry.example", &to, &sent.octets())
                .unwrap();
            match &sent.id {
                Some(first) => assert_eq!(*first, id, "{sent:?}: another id for the same letter"),
                None => sent.id = Some(id),
            }
        }
    }
}

/// What `knik evidence list` says of submissions and deposits, by Message-ID.
struct Evidence {
    events: BTreeMap<String, Vec<Value>>,
}

impl Evidence {
    fn of(post: &Post) -> Self {
        let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in post.evidence(&[]) {
            if let Some(message_id) = event["message_id_field"].as_str() {
                events.entry(message_id.to_owned()).or_default().push(event);
            }
        }
        Self { events }
    }

    /// One acceptance, with the id that the 250 named, and one deposit for each recipient; or, without a 250, all of
    /// this or nothing.
    fn settle(&self, sent: &mut Sent) {
        let none = Vec::new();
        let events = self.events.get(&sent.message_id).unwrap_or(&none);
        let of = |name: &str| {
            events
                .iter()
                .filter(|event| text(event, "event") == name)
                .collect::<Vec<_>>()
        };
        let (accepted, deposited) = (of("submission-accepted"), of("deposited"));
        if accepted.is_empty() && sent.id.is_none() {
            assert!(
                deposited.is_empty(),
                "{sent:?}: deposited and never accepted"
            );
            return;
        }
        assert_eq!(accepted.len(), 1, "{sent:?}: {events:#?}");
        let id = text(accepted[0], "id");
        assert_eq!(
            *sent.id.get_or_insert_with(|| id.clone()),
            id,
            "the 250 named another id"
        );
        let mut to: Vec<String> = deposited
            .iter()
            .map(|event| text(event, "recipient"))
            .collect();
        let mut expected = sent.to.clone();
        to.sort();
        expected.sort();
        assert_eq!(to, expected, "{sent:?}");
    }
}

/// The originals in a holder's INBOX, by their Message-ID field.
fn letters_by_message_id(post: &Post, device: &Credential) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut letters: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for letter in selected(post, device).letters().unwrap() {
        let original = letter.original().to_vec();
        let header = String::from_utf8_lossy(&original[..original.len().min(2000)]).into_owned();
        let message_id = header
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: "))
            .expect("a Message-ID");
        letters
            .entry(message_id.to_owned())
            .or_default()
            .push(original);
    }
    letters
}
