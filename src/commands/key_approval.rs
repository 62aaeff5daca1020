//! A change of keys that one person proposed and another approves: it is carried out where the keys are held, and brought to
//! its end by the same approval when it was cut short.

use std::path::{Path, PathBuf};

use mail::Digest;
use receipts::id::ProposalId;
use store::proposals::keys::{KeyApproval, KeyChange, KeysReady, NewKey};
use store::proposals::{Approved, Done};
use store::signing_keys::KeyRecord;
use store::{EvidenceId, Store};

use super::key::{complete, holding, typed};
use super::operator;
use crate::cli::key::{Holder, Retire};
use crate::config::Config;
use crate::config::key_place::KeyPlace;
use crate::failure::{Failure, Outcome};
use crate::roles::table::roles_of;
use crate::signer::ring::{Entry, Ring, State};
use crate::signer::rotate::{self, Place, Wanted};

/// A rotation as it is proposed: with complete paths, and the key's name where it is there already.
///
/// # Errors
/// Names the file at fault.
pub fn rotation(
    keys: &Config,
    purpose: store::signing_keys::KeyPurpose,
    wanted: &Wanted,
    signer: Option<&Path>,
) -> Outcome<KeyChange> {
    Ok(KeyChange::Rotate(NewKey {
        purpose,
        key: rotate::name_of(keys, purpose, wanted)?,
        place: (wanted.place.as_ref()).map(|place| place.to_text(Path::new(""))),
        certificate: path_text(wanted.certificate.as_deref())?,
        signer: path_text(signer)?,
        why: wanted.why.clone(),
    }))
}

/// A retirement as it is proposed, of a key that is there.
///
/// # Errors
/// That there is no such key.
pub fn retirement(keys: &Config, wanted: &Retire) -> Outcome<KeyChange> {
    named(keys, &wanted.id)?;
    Ok(KeyChange::Retire {
        key: wanted.id.clone(),
        destroy: wanted.destroy,
        signer: path_text(wanted.holder.signer_config.as_deref())?,
        why: wanted.why.clone(),
    })
}

/// Approves a change of keys and carries it out; `None`: the proposal is of something else.
///
/// # Errors
/// As the change of keys itself, and that this person may not approve it: then nothing was done.
pub fn approve(
    config: &Config,
    store: &Store,
    id: ProposalId,
    digest: Option<Digest>,
) -> Outcome<Option<Approved>> {
    let asking = store.may_approve_keys(operator::actor(), id, roles_of, digest);
    let Some(KeyApproval { change, recorded }) = asking.wait()? else {
        return Ok(None);
    };
    let (KeyChange::Rotate(NewKey { signer, .. }) | KeyChange::Retire { signer, .. }) = &change;
    let holder = Holder {
        signer_config: signer.as_ref().map(PathBuf::from),
    };
    let keys = holding(config, &holder)?;
    let place = Place {
        keys: &keys,
        post: config,
        store,
    };
    let deed = Deed {
        place: &place,
        id,
        recorded,
    };
    match &change {
        KeyChange::Rotate(wanted) => deed.rotate(wanted),
        KeyChange::Retire { key, destroy, .. } => deed.retire(key, *destroy),
    }
    .map(Some)
}

/// One approval that is being carried out.
struct Deed<'a> {
    place: &'a Place<'a>,
    id: ProposalId,
    /// The key's event and the approval, where an earlier try was cut short behind them.
    recorded: Option<(KeyRecord, EvidenceId)>,
}

impl Deed<'_> {
    fn rotate(self, new: &NewKey) -> Outcome<Approved> {
        let keys = self.place.keys;
        if let Some((record, approval)) = &self.recorded
            && named(keys, &record.id)?.state != State::Pending
        {
            return Ok(self.approved(record, *approval));
        }
        let wanted = Wanted {
            place: match &new.place {
                Some(text) if text.starts_with('/') => Some(KeyPlace::File(PathBuf::from(text))),
                Some(text) => Some(typed(text)?),
                None => None,
            },
            certificate: new.certificate.as_ref().map(PathBuf::from),
            why: new.why.clone(),
        };
        if rotate::name_of(keys, new.purpose, &wanted)? != new.key {
            return Err(Failure::could_not(format!(
                "the key or certificate is not {} any more, which was proposed: propose it again",
                new.key.as_deref().unwrap_or("a new one")
            )));
        }
        self.resumes_the_same(new, &wanted)?;
        let mut approved = None;
        rotate::rotate_as(self.place, new.purpose, &wanted, |facts| {
            self.record(KeysReady::Rotate(Box::new(facts)), &mut approved)
        })?;
        approved.ok_or_else(|| Failure::could_not("nothing was approved"))
    }

    fn retire(self, key: &str, destroy: bool) -> Outcome<Approved> {
        let mut approved = None;
        rotate::retire_as(self.place, key, destroy, |purpose| {
            self.record(KeysReady::Retire(purpose), &mut approved)
        })?;
        approved.ok_or_else(|| Failure::could_not("nothing was approved"))
    }

    /// A key that waits since an earlier try is taken only if it is the one that was proposed.
    fn resumes_the_same(&self, new: &NewKey, wanted: &Wanted) -> Outcome {
        let mut ring = Ring::load(self.place.keys)?;
        ring.name(self.place.keys)?;
        let Some(pending) = ring.one(new.purpose, State::Pending) else {
            return Ok(());
        };
        let same_key = new.key.as_ref().is_none_or(|key| *key == pending.id);
        let same_place = match (&wanted.place, &pending.place) {
            (Some(place), there) => place.is_same(there),
            // Where `rotate` makes keys of its own: the file has the key's name.
            (None, KeyPlace::File(file)) => {
                file.file_name() == Some(format!("{}.key", pending.id).as_ref())
            }
            (None, KeyPlace::Token(_)) => false,
        };
        if same_key && same_place {
            return Ok(());
        }
        Err(Failure::could_not(format!(
            "an earlier rotation to {} in {} was cut short, and is not the one that was proposed: propose that one first",
            pending.id, pending.place
        )))
    }

    /// The key's event, with the approval in its transaction; or those of the earlier try.
    fn record(&self, ready: KeysReady, approved: &mut Option<Approved>) -> Outcome<KeyRecord> {
        if let Some((record, approval)) = &self.recorded {
            *approved = Some(self.approved(record, *approval));
            return Ok(record.clone());
        }
        let store = self.place.store;
        let approving = store.approve_keys(operator::actor(), self.id, roles_of, ready);
        let (record, done) = approving.wait()?;
        *approved = Some(done);
        Ok(record)
    }

    fn approved(&self, record: &KeyRecord, approval: EvidenceId) -> Approved {
        Approved {
            id: self.id,
            evidence: approval,
            done: Done::Event(record.evidence),
        }
    }
}

/// The key of this name.
fn named(keys: &Config, id: &str) -> Outcome<Entry> {
    let mut ring = Ring::load(keys)?;
    ring.name(keys)?;
    let found = ring.entries.into_iter().find(|entry| entry.id == id);
    found.ok_or_else(|| Failure::is_false(format!("key {id} not found")))
}

fn path_text(path: Option<&Path>) -> Outcome<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let path = complete(path)?;
    match path.to_str() {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Failure::could_not(format!(
            "{}: a proposal takes only names in UTF-8",
            path.display()
        ))),
    }
}
