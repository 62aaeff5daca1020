//! Events that say of others that they were mistakes.

use serde_json::Value;

use super::chain::one_chain;
use super::{NotProved, Refutation, Report};
use crate::bundle::{Bundle, Item, event_name};
use crate::event::EventName;

/// Marks what was annulled, and refutes an annulment of what is not earlier in its own chain.
pub(super) fn verify(bundle: &Bundle, report: &mut Report) -> Result<(), Refutation> {
    let annulments = bundle.items.values();
    for item in annulments.filter(|item| item.event.event == EventName::Annulled) {
        let file = event_name(item.event.id);
        let cited = item.event.details.get("cites").and_then(Value::as_str);
        let Some(cited) = cited else {
            return Err(Refutation::ChainBroken {
                file,
                why: "it annuls, and cites no event",
            });
        };
        let shown = bundle
            .items
            .values()
            .find(|other| other.event.id.to_string() == cited);
        match shown {
            None => report.note(NotProved::AnnulsUnshown {
                event: file,
                cited: cited.to_owned(),
            }),
            Some(other) if !may_annul(item, other) => {
                return Err(Refutation::ChainBroken {
                    file,
                    why: "it annuls an event that is not before it in its chain",
                });
            }
            Some(_) => {
                let findings = report.findings.iter_mut();
                for finding in findings.filter(|finding| finding.id == cited) {
                    finding.annulled = Some(item.event.id);
                }
            }
        }
    }
    Ok(())
}

fn may_annul(item: &Item, cited: &Item) -> bool {
    cited.event.seq < item.event.seq
        && cited.event.subject.recipient == item.event.subject.recipient
        && one_chain(&cited.event.subject, &item.event.subject)
}
