//! Which letters a task asks for: by the contract's profile, and by what the sender asked for itself (RFC 3461).
//!
//! | profile | outcome of a submission | `handed-over` | `marked-read` |
//! |---|---|---|---|
//! | `signed` | receipt with 1 + n evidence XML | receipt | receipt |
//! | `report` | DSN | – | MDN |
//! | `both` | both | receipt | both |
//! | `pull` | – | – | – |
//!
//! NOTIFY, where it is given, decides about the DSN instead of the profile.

use mail::address::Address;
use mail::report::{
    Action, ActionMode, DeliveryReport, Diagnostic, DispositionReport, Heading, HumanText, Mailbox,
    RecipientReport, Ret,
};
use mail::structure::Structure;
use receipts::event::{Event, EventName};
use receipts::receipt_mail::{self, Evidence, MailKind, SignedReceipt};
use receipts::seal::Seal;
use receipts::texts::{self, Form, Told};
use store::Store;
use store::agenda::{Asked, Duty, Task};
use store::contracts::{Contract, Profile};
use store::deposit::{self, Notify};
use store::evidence::{Entry, Record};
use store::outbound::NewLetter;

use crate::commands::evidence::{issuer, sealed_xml};
use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// What letters are made with.
pub struct Desk<'a> {
    /// The operator's names.
    pub config: &'a Config,
    /// Where the events are.
    pub store: &'a Store,
    /// What receipts are sealed with.
    pub seal: &'a dyn Seal,
}

/// One task with all that its letters need.
struct Case {
    contract: Contract,
    /// The event that the task is about, and for an outcome those of its recipients.
    records: Vec<Record>,
    asked: Asked,
    original: Vec<u8>,
    subject: Option<String>,
}

impl Case {
    fn event(&self) -> Outcome<&Event> {
        self.records
            .first()
            .map(|record| &record.event)
            .ok_or_else(|| Failure::could_not("a task without its event"))
    }
}

impl Desk<'_> {
    /// The letters that fulfil a task; none when nobody asked for any.
    ///
    /// # Errors
    /// Names what keeps one from being made.
    pub fn letters(&self, task: Task) -> Outcome<Vec<NewLetter>> {
        let Some(case) = self.case(task)? else {
            return Ok(Vec::new());
        };
        let event = case.event()?;
        let profile = case.contract.profile;
        let (signed, report) = match profile {
            Profile::Both => (true, true),
            Profile::Signed => (true, false),
            Profile::Report => (false, true),
            Profile::Pull => (false, false),
        };
        let sender = event
            .subject
            .from
            .as_deref()
            .and_then(|text| Address::parse(text).ok());
        let mut letters = Vec::new();
        let receipts_to = case.contract.receipts_to.clone().or_else(|| sender.clone());
        if signed && let Some(to) = receipts_to {
            letters.push(self.receipt(&case, to)?);
        }
        if let Some(to) = sender {
            match task.duty {
                Duty::Outcome => letters.extend(self.delivery(&case, to, report)?),
                Duty::Later if report && event.event == EventName::MarkedRead => {
                    letters.push(self.disposition(&case, to)?);
                }
                Duty::Later => {}
            }
        }
        Ok(letters)
    }

    /// `None` when the event was erased: nothing is owed about it any more.
    fn case(&self, task: Task) -> Outcome<Option<Case>> {
        let missing = |what: &str| Failure::could_not(format!("a task without its {what}"));
        let record = match self.store.evidence_in_order(task.evidence, 1)?.pop() {
            Some(Entry::Whole(record)) => *record,
            Some(Entry::Erased(_)) => return Ok(None),
            None => return Err(missing("event")),
        };
        let subject = &record.event.subject;
        let message = subject.message.ok_or_else(|| missing("message"))?;
        let contract = subject.contract.ok_or_else(|| missing("contract"))?;
        let contract = self
            .store
            .contract(contract)?
            .ok_or_else(|| missing("contract"))?;
        let original = self.store.original(message)?.unwrap_or_default();
        let records = match task.duty {
            Duty::Later => vec![record],
            Duty::Outcome => self
                .store
                .chains_of_message(message)?
                .into_iter()
                .filter_map(Entry::whole)
                .filter(|record| is_of_outcome(record.event.event))
                .collect(),
        };
        Ok(Some(Case {
            contract,
            records,
            asked: self.store.asked(message)?,
            subject: Structure::examine(&original).subject_text,
            original,
        }))
    }

    fn receipt(&self, case: &Case, to: Address) -> Outcome<NewLetter> {
        let event = case.event()?;
        let issuer = issuer(self.config);
        let mut sealed = Vec::with_capacity(case.records.len());
        for record in &case.records {
            if let Some(xml) = sealed_xml(record, &issuer, self.seal, self.store)? {
                sealed.push((&record.event, xml));
            }
        }
        let evidence: Vec<Evidence<'_>> = sealed
            .iter()
            .map(|(event, xml)| Evidence { event, xml })
            .collect();
        let receipt = SignedReceipt {
            from: self.operator()?,
            to: to.clone(),
            host: &self.config.hostname,
            subject: case.subject.as_deref(),
            evidence: &evidence,
        };
        let octets = receipt
            .build(self.seal, self.store.now())
            .map_err(|e| Failure::doing("the receipt", &e))?;
        self.letter(event, MailKind::Receipt, to, octets)
    }

    /// The DSN with a group for each recipient that is to be reported; `None` when there is none.
    fn delivery(&self, case: &Case, to: Address, by_profile: bool) -> Outcome<Option<NewLetter>> {
        let event = case.event()?;
        let reported: Vec<&Event> = case
            .records
            .iter()
            .map(|record| &record.event)
            .filter(|event| is_reported(event, &case.asked, by_profile))
            .collect();
        if reported.is_empty() {
            return Ok(None);
        }
        let recipients = reported
            .iter()
            .map(|event| group(event, &case.asked))
            .collect::<Outcome<Vec<_>>>()?;
        let report = DeliveryReport {
            heading: self.heading(
                event,
                MailKind::Delivery,
                (self.operator()?, None),
                to.clone(),
                case,
            )?,
            human: self.human(&reported, case),
            reporting_mta: self.config.hostname.clone(),
            envelope_id: case.asked.dsn.envid.clone(),
            arrival: event.subject.submitted.unwrap_or(event.time),
            extensions: identity_of(event),
            recipients,
            ret: case.asked.dsn.ret.map(|ret| match ret {
                deposit::Ret::Full => Ret::Full,
                deposit::Ret::Hdrs => Ret::Hdrs,
            }),
            original: &case.original,
            takes_8bit: false,
        };
        let octets = report
            .build()
            .map_err(|e| Failure::doing("the delivery report", &e))?;
        self.letter(event, MailKind::Delivery, to, octets).map(Some)
    }

    fn disposition(&self, case: &Case, to: Address) -> Outcome<NewLetter> {
        let event = case.event()?;
        let (address, ordinal) = recipient(event)?;
        let by_program =
            event.details.get("cause").and_then(|cause| cause.as_str()) == Some("fetch");
        let holder = Mailbox {
            name: None,
            address: address.clone(),
        };
        let from = (holder, Some(self.operator()?));
        let report = DispositionReport {
            heading: self.heading(event, MailKind::Disposition, from, to.clone(), case)?,
            human: self.human(&[event], case),
            host: self.config.hostname.clone(),
            original_recipient: case
                .asked
                .recipients
                .get(&ordinal)
                .and_then(|(_, orcpt)| orcpt.clone()),
            final_recipient: address,
            original_message_id: receipt_mail::answers(event),
            mode: if by_program {
                ActionMode::Automatic
            } else {
                ActionMode::Manual
            },
            extensions: identity_of(event),
            original: None,
        };
        let octets = report
            .build()
            .map_err(|e| Failure::doing("the disposition report", &e))?;
        self.letter(event, MailKind::Disposition, to, octets)
    }

    fn heading(
        &self,
        event: &Event,
        kind: MailKind,
        (from, sender): (Mailbox, Option<Mailbox>),
        to: Address,
        case: &Case,
    ) -> Outcome<Heading> {
        // A report is headed by what it reports: a failure before anything else.
        let mut told = case.records.iter().map(|record| record.event.event);
        let headline = match kind {
            MailKind::Delivery if told.any(|name| name == EventName::DepositFailed) => {
                EventName::DepositFailed
            }
            MailKind::Delivery => EventName::Deposited,
            _ => event.event,
        };
        let subject = texts::subject(headline, case.subject.as_deref());
        let msg_id = receipt_mail::msg_id(event.id, kind, &self.config.hostname)
            .map_err(|e| Failure::doing("hostname", &e))?;
        Ok(Heading {
            from,
            sender,
            to,
            subject: subject.unwrap_or_else(|| headline.as_str().to_owned()),
            date: event.time,
            msg_id,
            answers: receipt_mail::answers(event),
            auto_submitted: receipt_mail::auto_submitted(event.event, kind),
        })
    }

    fn human(&self, events: &[&Event], case: &Case) -> HumanText {
        texts::human(&Told {
            events,
            subject: case.subject.as_deref(),
            form: Form::Report,
        })
    }

    /// Who answers for receipts: the postmaster, whom mail reaches here (RFC 5321 §4.5.1).
    fn operator(&self) -> Outcome<Mailbox> {
        let address = format!("postmaster@{}", self.config.domain);
        Ok(Mailbox {
            name: Some(self.config.seal.issuer.clone()),
            address: Address::parse(&address).map_err(|e| Failure::doing("domain", &e))?,
        })
    }

    fn letter(
        &self,
        event: &Event,
        kind: MailKind,
        to: Address,
        octets: Vec<u8>,
    ) -> Outcome<NewLetter> {
        let msg_id = receipt_mail::msg_id(event.id, kind, &self.config.hostname)
            .map_err(|e| Failure::doing("hostname", &e))?;
        let contract = event.subject.contract;
        Ok(NewLetter {
            letter: msg_id.inside().to_owned(),
            contract: contract
                .ok_or_else(|| Failure::could_not("an event without its contract"))?,
            evidence: event.id,
            recipient: to,
            octets,
        })
    }
}

/// The events that a submission's outcome consists of.
fn is_of_outcome(event: EventName) -> bool {
    matches!(
        event,
        EventName::SubmissionAccepted
            | EventName::SubmissionRejected
            | EventName::RecipientRefused
            | EventName::Deposited
            | EventName::DepositFailed
    )
}

/// A DSN tells of what became of accepted recipients; a refusal was told in the reply to RCPT or DATA.
fn is_reported(event: &Event, asked: &Asked, by_profile: bool) -> bool {
    let what = match event.event {
        EventName::Deposited => Notify::SUCCESS,
        EventName::DepositFailed => Notify::FAILURE,
        _ => return false,
    };
    let ordinal = event.subject.recipient.as_ref().map_or(0, |to| to.ordinal);
    match asked.recipients.get(&ordinal) {
        Some((Some(notify), _)) => notify.has(what),
        _ => by_profile,
    }
}

fn recipient(event: &Event) -> Outcome<(Address, u32)> {
    let to = event.subject.recipient.as_ref();
    let to = to.ok_or_else(|| Failure::could_not("an event without its recipient"))?;
    let address =
        Address::parse(&to.address).map_err(|e| Failure::doing("a recipient's address", &e))?;
    Ok((address, to.ordinal))
}

fn group(event: &Event, asked: &Asked) -> Outcome<RecipientReport> {
    let (address, ordinal) = recipient(event)?;
    let placed = event.event == EventName::Deposited;
    let why = event.details.get("why").and_then(|why| why.as_str());
    Ok(RecipientReport {
        original_recipient: asked
            .recipients
            .get(&ordinal)
            .and_then(|(_, orcpt)| orcpt.clone()),
        final_recipient: address,
        action: if placed {
            Action::Delivered
        } else {
            Action::Failed
        },
        status: if placed { "2.1.5" } else { "5.2.1" }.to_owned(),
        remote_mta: None,
        diagnostic: why.map(|why| Diagnostic::Own(why.to_owned())),
        last_attempt: Some(event.time),
        final_log_id: Some(event.id.to_string()),
        will_retry_until: None,
        extensions: identity_of(event),
    })
}

/// What joins a report to the evidence: its id and the message's digest.
fn identity_of(event: &Event) -> Vec<(String, String)> {
    let mut fields = vec![("Evidence-Id".to_owned(), event.id.to_string())];
    if let Some(digest) = event.subject.digest {
        fields.push(("Digest".to_owned(), digest.tagged()));
    }
    fields
}
