//! ETSI reason codes: why an event came out as it did (EN 319 522-2 §8.3.3, URIs of EN 319 522-3 table 3).

use std::fmt;
use std::str::FromStr;

/// Where EN 319 522-3 §5.2.2.7 roots the URIs of reasons.
const URI_PREFIX: &str = "http://uri.etsi.org/19522/EventReason/";

/// Why a text is not a reason code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ETSI reason code")]
pub struct ReasonError;

macro_rules! reasons {
    ($($code:ident $name:literal $doc:literal;)*) => {
        /// A reason code of EN 319 522-2 §8.3.3.
        // The codes are the standard's own words: capitals and all.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(clippy::upper_case_acronyms)]
        pub enum Reason {
            $(#[doc = $doc] $code,)*
        }

        impl Reason {
            /// Every reason code, in the standard's order.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// The code, as `RD01`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)*
                }
            }

            /// The name at the end of the URI, as `MessageConsignedToRecipient`. Spelled as the standard spells it,
            /// faults included.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }
        }
    };
}

reasons! {
    RA01 "MessageAccepted" "Message accepted.";
    RA02 "InvalidMessageFormat" "Invalid message format.";
    RA03 "MalwareFound" "Malware found.";
    RA04 "SenderSigningCertExpiredOrRevoked" "The sender's signing certificate is expired or revoked.";
    RA05 "S_ERDS_PolicyViolation" "Against this service's policy: size, kind of attachment, and the like.";
    RAXX "Other" "Another reason of the A events.";
    RB01 "S_ERDS_MessageSuccessfullyRelayed" "Relayed to the recipient's service.";
    RB02 "R_ERDS_MessageRejected" "Relayed, rejected there: invalid message format.";
    RB03 "R_ERDS_MessageRejectedForMalware" "Relayed, rejected there: malware.";
    RB04 "R_ERDS_MessageRejectedForInvalidSignature" "Relayed, rejected there: invalid signature.";
    RB05 "R_ERDS_MessageRejectedForInvalidCertificate" "Relayed, rejected there: certificate expired or revoked.";
    RB06 "R_ERDS_PolicyViolation" "Relayed, rejected there: policy.";
    RB07 "R_ERDS_Malfunction" "Not relayed: the recipient's service does not work.";
    RB08 "R_ERDS_NotIdentified" "Not relayed: the recipient's service is not identified.";
    RB09 "R_ERDS_Unreachable" "Not relayed: the recipient's service is unreachable.";
    RB10 "UnknownRecipient" "Not relayed: unknown recipient.";
    RBXX "Other" "Another reason of the B events.";
    RC01 "NotificationForAcceptanceSent" "Notification for acceptance sent.";
    RC02 "SubsequentNotificationForAcceptanceSent" "Subsequent notification for acceptance sent.";
    RC03 "NotificationForAcceptenceError" "Error in delivering the notification for acceptance.";
    RC04 "SubsequentNotificationForAcceptanceError" "Error in delivering a subsequent notification.";
    RC05 "NotificationForAcceptanceMultipleError" "The same after multiple attempts.";
    RC06 "SubsequentNotificationForAcceptanceMultipleError" "The same of a subsequent notification.";
    RC07 "MessageAcceptedByRecipient" "Accepted by the recipient.";
    RC08 "MessageRejectedByRecipient" "Explicitly rejected by the recipient.";
    RC09 "MessageNotAcceptedInTimeByRecipient" "Not accepted within the time set.";
    RCXX "Other" "Another reason of the C events.";
    RD01 "MessageConsignedToRecipient" "Consigned to the recipient.";
    RD02 "MessageConsignedToDelegate" "Consigned to a recipient's delegate.";
    RD03 "S_ERDSP_ReceivedNoDeliveryInfoFromR_ERDSP" "No information on consignment in the time set.";
    RD04 "MessageNotConsignedForQuota" "Not consigned for quota: this system never issues it.";
    RD05 "MessageNotConsignedForMalfunction" "Not consigned for a technical malfunction.";
    RD06 "MessageNotConsignedForUnallowedType" "Not consigned: type not accepted by the recipient.";
    RDXX "Other" "Another reason of the D events.";
    RE01 "MessageHandedOver" "Handed over to the recipient.";
    RE02 "MessageHandedOverToDelegate" "Handed over to a recipient's delegate.";
    RE03 "MessageNotHandedOverForUnallowedType" "Not handed over: type not accepted by the recipient.";
    RE04 "MessageHandoverTimeout" "Not handed over within the time set.";
    REXX "Other" "Another reason of the E events.";
    RF01 "MessageRelayedToNonERDS" "Relayed to a system of another kind.";
    RF02 "ExternalSystemUnreachable" "The external system is unreachable.";
    RF03 "MessageRejectedByExternalSystem" "The external system rejected it.";
    RF04 "MessageReceivedFromNonERDS" "Received from a system of another kind.";
    RFXX "Other" "Another reason of the F events.";
}

impl Reason {
    /// The URI that names this reason in evidence XML.
    #[must_use]
    pub fn uri(self) -> String {
        format!("{URI_PREFIX}{}", self.name())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = ReasonError;

    fn from_str(text: &str) -> Result<Self, ReasonError> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.as_str() == text)
            .ok_or(ReasonError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_uris_are_those_of_the_standard() {
        assert_eq!(Reason::ALL.len(), 38 + 6);
        for reason in Reason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(*reason));
            assert_eq!(reason.as_str().ends_with("XX"), reason.name() == "Other");
        }
        assert_eq!(
            Reason::RD01.uri(),
            "http://uri.etsi.org/19522/EventReason/MessageConsignedToRecipient"
        );
        assert_eq!(
            Reason::RA05.uri(),
            "http://uri.etsi.org/19522/EventReason/S_ERDS_PolicyViolation"
        );
        assert_eq!(
            Reason::RFXX.uri(),
            "http://uri.etsi.org/19522/EventReason/Other"
        );
        for bad in ["", "rd01", "RD07", "RD01 ", "RxXX"] {
            assert_eq!(bad.parse::<Reason>(), Err(ReasonError), "{bad}");
        }
    }
}
