//! A contracted sender's submission turned away for good: evidence A.2.

use mail::address::Address;
use mail::digest::Digest;
use receipts::actor::Actor;
use receipts::event::Reason;
use receipts::id::{ContractId, EvidenceId};
use serde_json::json;

use crate::Store;
use crate::commit::Ticket;
use crate::deposit::{Envelope, RefusedRecipient, is_usable_field, sender_text};
use crate::mint::MessageFacts;

/// A submission that gets a final 5xx after its data, or a policy 5xx at MAIL.
pub struct Rejection {
    /// The sender's contract.
    pub contract: ContractId,
    /// How the sender was recognised.
    pub actor: Actor,
    /// The envelope.
    pub envelope: Envelope,
    /// Recipients accepted until then.
    pub recipients: Vec<Address>,
    /// Recipients refused until then.
    pub refused: Vec<RefusedRecipient>,
    /// What is known of the content: digest, octets, Message-ID field. `None` before any data.
    pub content: Option<(Digest, u64, Option<String>)>,
    /// RA02 to RA05.
    pub reason: Reason,
    /// The reply, without the evidence id.
    pub reply: String,
}

impl Store {
    /// Records a rejection; the reply then ends `[<evidence id>]`.
    ///
    /// # Errors
    /// If evidence cannot be made durable, answer 451 instead.
    pub fn refuse(&self, rejection: Rejection) -> Ticket<EvidenceId> {
        self.act(move |act| {
            let (digest, size, message_id_field) = match &rejection.content {
                Some((digest, size, field)) => (
                    Some(*digest),
                    Some(*size),
                    field.clone().filter(|field| is_usable_field(field)),
                ),
                None => (None, None, None),
            };
            let facts = MessageFacts {
                message: act.minter.message_id()?,
                contract: rejection.contract,
                message_id_field,
                sender: sender_text(&rejection.envelope.from),
                submitted: act.minter.now(),
                digest,
                size,
            };
            act.sql.put(
                "INSERT INTO rejection (ulid, contract, message_id_field) VALUES ($1, $2, $3)",
                &[
                    (&facts.message.to_bytes()).into(),
                    (&facts.contract.to_bytes()).into(),
                    facts.message_id_field.as_deref().into(),
                ],
            )?;
            let recipients: Vec<_> = (1_u32..)
                .zip(&rejection.recipients)
                .map(|(ordinal, address)| json!({ "address": address.canonical().to_string(), "ordinal": ordinal }))
                .collect();
            let minted = act.submission_rejected(
                &rejection.actor,
                &facts,
                rejection.reason,
                json!({
                    "helo": rejection.envelope.helo,
                    "protocol": rejection.envelope.protocol,
                    "recipients": recipients,
                    "reply": rejection.reply,
                }),
            )?;
            let next = rejection.recipients.len() as u32 + 1;
            act.refuse_recipients(&rejection.actor, &facts, &rejection.refused, next, minted)?;
            act.owe_outcome(rejection.contract, minted, false)?;
            Ok(minted.id)
        })
    }
}
