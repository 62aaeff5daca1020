//! Events against one another: each names the entry before it.

use super::{NotProved, Refutation, Report};
use crate::bundle::{Bundle, Item, event_name};
use crate::event::Subject;

/// Checks every link whose two ends are in the bundle, and notes those with one end outside.
pub(super) fn verify(bundle: &Bundle, report: &mut Report) -> Result<(), Refutation> {
    for item in bundle.items.values() {
        let file = event_name(item.event.id);
        let broken = |why| Refutation::ChainBroken {
            file: file.clone(),
            why,
        };
        let prev = match (item.event.seq, item.event.prev) {
            (0, None) => continue,
            (0, Some(_)) => return Err(broken("the first event of a chain names one before it")),
            (_, None) => return Err(broken("it names no event before it")),
            (_, Some(prev)) => prev,
        };
        if let Some(before) = bundle.items.values().find(|other| other.leaf() == prev) {
            follows(before, item).map_err(broken)?;
        } else if bundle
            .items
            .values()
            .any(|other| is_due_before(other, item))
        {
            return Err(broken(
                "the event before it in this bundle is not the one it names",
            ));
        } else {
            report.note(NotProved::ChainGap { event: file });
        }
    }
    Ok(())
}

fn follows(before: &Item, item: &Item) -> Result<(), &'static str> {
    let (earlier, later) = (&before.event, &item.event);
    if earlier.seq.checked_add(1) != Some(later.seq) {
        Err("its place is not the next after the event it names")
    } else if earlier.id >= later.id || earlier.time > later.time {
        Err("it is older than the event it names")
    } else if !one_chain(&earlier.subject, &later.subject) {
        Err("it is about another subject than the event it names")
    } else {
        Ok(())
    }
}

fn is_due_before(other: &Item, item: &Item) -> bool {
    let (other, item) = (&other.event, &item.event);
    other.seq.checked_add(1) == Some(item.seq)
        && other.id < item.id
        && one_chain(&other.subject, &item.subject)
}

/// Chains run per subject: a submission's event is before those of all its recipients; after it, one recipient's are
/// among themselves.
pub(super) fn one_chain(earlier: &Subject, later: &Subject) -> bool {
    let same_or_absent = |one: Option<String>, other: Option<String>| {
        one.is_none() || other.is_none() || one == other
    };
    let text = |subject: &Subject| subject.account.clone();
    let contract = |subject: &Subject| subject.contract.map(|contract| contract.to_string());
    earlier.message == later.message
        && (earlier.recipient.is_none() || earlier.recipient == later.recipient)
        && same_or_absent(text(earlier), text(later))
        && same_or_absent(contract(earlier), contract(later))
        && (earlier.message.is_some()
            || text(earlier) == text(later) && contract(earlier) == contract(later))
}
