//! The closed list of events and what ETSI calls them.

use std::fmt;
use std::str::FromStr;

/// Where EN 319 522-3 §5.2.2.6 roots the URIs of events.
const URI_PREFIX: &str = "http://uri.etsi.org/19522/Event/";

/// What ETSI calls an event (EN 319 522-1 §6, table 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Etsi {
    /// The table's code, as `D.1`. None for the events that V1.2.1 added: their numbers are not established.
    pub code: Option<&'static str>,
    /// The event's name, as `ContentConsignment`: the last element of its URI.
    pub name: &'static str,
}

impl Etsi {
    /// The URI that names this event in evidence XML.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("{URI_PREFIX}{}", self.name)
    }
}

/// Why a text is not an event's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an event")]
pub struct NameError;

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $text:literal $(, $etsi:expr)?;)*) => {
        /// The name of an event: what was observed, exactly when the comment of the variant says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventName {
            $($(#[$doc])* $variant,)*
        }

        impl EventName {
            /// Every event there is, in the order of a letter's way.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name as it stands in the canonical event, in the database and in documents.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Whether it is about those who run the post: who they are, what they asked and proposed.
            #[must_use]
            pub fn is_of_operators(self) -> bool {
                matches!(
                    self,
                    Self::OperatorAdded
                        | Self::OperatorChanged
                        | Self::OperatorRemoved
                        | Self::OperatorProposed
                        | Self::OperatorApproved
                        | Self::OperatorDeclined
                        | Self::QueryMade
                        | Self::QueryExported
                )
            }

            /// What ETSI calls this event; None: an extension of ours. `escalated` is F.1 here; see
            /// [`Event::etsi`](super::Event::etsi) for the failures among them.
            #[must_use]
            pub fn etsi(self) -> Option<Etsi> {
                match self {
                    $($(Self::$variant => Some($etsi),)?)*
                    _ => None,
                }
            }
        }
    };
}

const fn etsi(code: &'static str, name: &'static str) -> Etsi {
    Etsi {
        code: Some(code),
        name,
    }
}

const fn etsi_v1_2(name: &'static str) -> Etsi {
    Etsi { code: None, name }
}

/// F.2: what [`EventName::Escalated`] is when the other system could not be reached or refused.
pub(super) const RELAY_TO_NON_ERDS_FAILURE: Etsi = etsi("F.2", "RelayToNonERDSFailure");

events! {
    /// End-of-data was reached and message, placements and evidence are durable, just before the 250.
    SubmissionAccepted = "submission-accepted", etsi("A.1", "SubmissionAcceptance");
    /// A final 5xx after DATA/BDAT, or a policy 5xx at MAIL, to a contracted sender.
    SubmissionRejected = "submission-rejected", etsi("A.2", "SubmissionRejection");
    /// A 5xx to RCPT inside a transaction that ended accepted or rejected; recorded with its outcome.
    RecipientRefused = "recipient-refused";
    /// The message became visible in the recipient's mailbox; one per recipient.
    Deposited = "deposited", etsi("D.1", "ContentConsignment");
    /// Accepted, but cannot be placed.
    DepositFailed = "deposit-failed", etsi("D.2", "ContentConsignmentFailure");
    /// An SMS or forward was handed to the next carrier.
    AlertSent = "alert-sent", etsi("D.3", "ConsignmentNotification");
    /// An SMS or forward was given up.
    AlertFailed = "alert-failed", etsi("D.4", "ConsignmentNotificationFailure");
    /// The carrier's own report that the alert arrived.
    AlertDelivered = "alert-delivered", etsi_v1_2("NotificationDelivered");
    /// The first authentication completed after any deposit into that account.
    LoggedIn = "logged-in";
    /// First header or structure data of the message was sent to the holder.
    Listed = "listed";
    /// Content octets are about to leave for the first time; durable before the first of them.
    Disclosed = "disclosed";
    /// Coverage is complete and acknowledged; once per recipient.
    HandedOver = "handed-over", etsi("E.1", "ContentHandover");
    /// The first `\Seen` by the holder.
    MarkedRead = "marked-read", etsi_v1_2("ContentAccessTracking");
    /// The holder's deliberate act of acceptance.
    Accepted = "accepted", etsi("C.3", "ConsignmentAcceptance");
    /// The holder's deliberate act of refusal.
    Refused = "refused", etsi("C.4", "ConsignmentRejection");
    /// A rule's time passed without `handed-over`.
    NotHandedOver = "not-handed-over", etsi("E.2", "ContentHandoverFailure");
    /// Handed to paper post or public notice; or what came back.
    Escalated = "escalated", etsi("F.1", "RelayToNonERDS");
    /// A rule concluded that the letter counts as served.
    DeemedServed = "deemed-served";
    /// On request: for this message and recipient, the chain's head at that time was that event.
    HeadAttested = "head-attested";
    /// A contract was applied for.
    ContractApplied = "contract-applied";
    /// The text of a contract was drawn up for its applicant.
    ContractDrafted = "contract-drafted";
    /// The documents that a contract needs were received.
    ContractDocumentsReceived = "contract-documents-received";
    /// A contract was signed by both sides.
    ContractCountersigned = "contract-countersigned";
    /// A countersigned contract became active.
    ContractActivated = "contract-activated";
    /// A contract became active in one step.
    ContractAdded = "contract-added";
    /// Terms of a contract changed.
    ContractChanged = "contract-changed";
    /// A contract was suspended: the gate is closed to it.
    ContractSuspended = "contract-suspended";
    /// A suspended contract was opened again.
    ContractResumed = "contract-resumed";
    /// A contract ended for good.
    ContractEnded = "contract-ended";
    /// An account was opened.
    AccountAdded = "account-added";
    /// Data of an account changed.
    AccountChanged = "account-changed";
    /// A holder accepted terms of use.
    AccountTermsAccepted = "account-terms-accepted";
    /// A one-time link to a certificate was made for an account's holder.
    AccountLinkMade = "account-link-made";
    /// A certificate was enrolled for an account.
    AccountEnrolled = "account-enrolled";
    /// A certificate of an account was revoked.
    AccountRevoked = "account-revoked";
    /// A forwarding target of an account was added or removed.
    AccountForwarded = "account-forwarded";
    /// An account was closed.
    AccountClosed = "account-closed";
    /// A delegate was given access to an account.
    DelegateAdded = "delegate-added";
    /// A delegate's access changed.
    DelegateChanged = "delegate-changed";
    /// A delegate's access ended.
    DelegateEnded = "delegate-ended";
    /// A key came into use.
    KeyAdded = "key-added";
    /// A key took the place of another.
    KeyRotated = "key-rotated";
    /// A key went out of use.
    KeyRetired = "key-retired";
    /// A version of a rule came into force.
    RuleActivated = "rule-activated";
    /// A rule went out of force.
    RuleRetired = "rule-retired";
    /// An auditor asked.
    QueryMade = "query-made";
    /// An auditor was given an export.
    QueryExported = "query-exported";
    /// An operator was named.
    OperatorAdded = "operator-added";
    /// An operator's rights changed.
    OperatorChanged = "operator-changed";
    /// An operator's rights ended.
    OperatorRemoved = "operator-removed";
    /// An operator proposed an act that needs a second operator.
    OperatorProposed = "operator-proposed";
    /// A second operator approved a proposed act, which was then done.
    OperatorApproved = "operator-approved";
    /// A proposed act was declined or withdrawn.
    OperatorDeclined = "operator-declined";
    /// The store was opened for the first time.
    StoreCreated = "store-created";
    /// The store was restored from a backup.
    StoreRestored = "store-restored";
    /// An interval in which the service was up or down.
    Availability = "availability";
    /// By an operator or a court: an earlier event, which it cites, was a mistake.
    Annulled = "annulled";
    /// Deleted by the owner, by the end of retention, or by lawful erasure.
    Removed = "removed";
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .iter()
            .copied()
            .find(|name| name.as_str() == text)
            .ok_or(NameError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_name_is_its_own() {
        let texts: BTreeSet<_> = EventName::ALL.iter().map(|name| name.as_str()).collect();
        assert_eq!(texts.len(), EventName::ALL.len());
        for name in EventName::ALL {
            assert_eq!(name.to_string().parse(), Ok(*name));
            assert!(
                name.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{name}"
            );
        }
        assert_eq!("Deposited".parse::<EventName>(), Err(NameError));
    }

    #[test]
    fn etsi_names_are_those_of_en_319_522_1() {
        let table = [
            (
                "submission-accepted",
                Some("A.1"),
                "http://uri.etsi.org/19522/Event/SubmissionAcceptance",
            ),
            (
                "submission-rejected",
                Some("A.2"),
                "http://uri.etsi.org/19522/Event/SubmissionRejection",
            ),
            (
                "deposited",
                Some("D.1"),
                "http://uri.etsi.org/19522/Event/ContentConsignment",
            ),
            (
                "deposit-failed",
                Some("D.2"),
                "http://uri.etsi.org/19522/Event/ContentConsignmentFailure",
            ),
            (
                "handed-over",
                Some("E.1"),
                "http://uri.etsi.org/19522/Event/ContentHandover",
            ),
            (
                "marked-read",
                None,
                "http://uri.etsi.org/19522/Event/ContentAccessTracking",
            ),
        ];
        for (name, code, uri) in table {
            let etsi = name.parse::<EventName>().unwrap().etsi().unwrap();
            assert_eq!((etsi.code, etsi.uri().as_str()), (code, uri));
        }
        let extensions = EventName::ALL
            .iter()
            .filter(|name| name.etsi().is_none())
            .count();
        assert_eq!(EventName::ALL.len() - extensions, 13);
    }
}
