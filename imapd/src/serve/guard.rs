//! Looks at a live session's certificate again: when something changed (an account closed, a device revoked, other
//! anchors or CRLs), when a responder answered about it, and now and then, because certificates expire without anything
//! changing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use identity::Cause;
use rustls::pki_types::CertificateDer;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::Imapd;
use crate::identify::{Known, Look, Need, identify};
use crate::refusal::Refusal;
use crate::session::reply::chain;
use crate::session::state::{Bearer, Seat};

/// However much changes elsewhere, one certificate is judged this often at most …
const JUDGED_MIN: Duration = Duration::from_secs(4);
/// … and this often at least.
const JUDGED_MAX: Duration = Duration::from_secs(60);

/// How long a log-in waits for a responder whose answer is wanted and not demanded: nobody is delayed by more than a
/// second; what comes later is held against the live session.
const WANTED_WAIT: Duration = Duration::from_millis(700);
/// How long one waits whose answer is demanded (`revocation = "hard"`); then it is refused.
const DEMANDED_WAIT: Duration = Duration::from_secs(5);

/// The guard of one connection.
pub struct Guard {
    imapd: Arc<Imapd>,
    peer: IpAddr,
    certificates: Vec<CertificateDer<'static>>,
    changes: watch::Receiver<u64>,
    judged: Instant,
    due: Instant,
    /// A responder that was asked and has not answered yet.
    asked: Option<oneshot::Receiver<()>>,
    /// Each connection's first verdict is counted.
    counted: bool,
}

impl Guard {
    /// A guard over a connection that has shown these certificates, or none yet.
    pub fn new(
        imapd: Arc<Imapd>,
        peer: IpAddr,
        certificates: Vec<CertificateDer<'static>>,
    ) -> Self {
        let now = Instant::now();
        let changes = imapd.changes();
        Self {
            imapd,
            peer,
            certificates,
            changes,
            judged: now,
            due: now + JUDGED_MAX,
            asked: None,
            counted: false,
        }
    }

    /// Whether it is time to look again.
    pub fn is_due(&mut self) -> bool {
        // An error would mean that the server is gone, and its connections with it.
        if self.changes.has_changed().unwrap_or(false) {
            self.changes.mark_unchanged();
            self.hasten();
        }
        if let Some(asked) = &mut self.asked
            && asked.try_recv() != Err(oneshot::error::TryRecvError::Empty)
        {
            self.asked = None;
            self.due = Instant::now();
        }
        !self.certificates.is_empty() && Instant::now() >= self.due
    }

    /// Waits until it is. May be dropped at any moment.
    pub async fn until_due(&mut self) {
        while !self.is_due() {
            tokio::select! {
                () = sleep_until(self.due), if !self.certificates.is_empty() => {}
                () = answered(&mut self.asked) => {
                    self.asked = None;
                    self.due = Instant::now();
                }
                changed = self.changes.changed() => match changed {
                    Ok(()) => self.hasten(),
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }

    /// Whom the certificates name now. Where a responder's answer is missing it is asked, and waited for a little; what it
    /// says later makes the certificates due again. `None`: the store did not say.
    pub async fn judge(&mut self) -> Option<Bearer> {
        let mut look = self.look().await?;
        if let Some(mut asked) = self.ask(&mut look) {
            let patience = match look.need {
                Need::Little => Duration::ZERO,
                Need::Wanted => WANTED_WAIT,
                Need::Demanded => DEMANDED_WAIT,
            };
            if timeout(patience, &mut asked).await.is_ok() {
                look = self.look().await?;
            } else {
                self.asked = Some(asked);
            }
        }
        look.log();
        if let Some(cause) = look.cause.filter(|_| !self.counted) {
            self.imapd.counters.refuse(cause);
        }
        self.counted = true;
        self.judged = Instant::now();
        self.due = self.judged + JUDGED_MAX;
        Some(look.bearer)
    }

    async fn look(&self) -> Option<Look> {
        let (imapd, certificates, peer) = (
            Arc::clone(&self.imapd),
            self.certificates.clone(),
            self.peer,
        );
        let look = move || {
            let (trusts, responders, house) = (imapd.trust(), imapd.responders(), imapd.house());
            let known = Known {
                trusts: &trusts,
                answers: &*responders,
                domain: &house.domain,
            };
            identify(&imapd.store, &certificates, known, peer)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(look)) => Some(look),
            Ok(Err(error)) => {
                tracing::error!(error = %chain(&error), "a certificate could not be looked up");
                None
            }
            Err(_) => None,
        }
    }

    /// Has the responders asked, unless that is under way for this connection or was done lately.
    fn ask(&self, look: &mut Look) -> Option<oneshot::Receiver<()>> {
        if look.questions.is_empty() || self.asked.is_some() {
            return None;
        }
        let (tell, told) = oneshot::channel();
        // A connection that has ended meanwhile does not hear it.
        let tell = Box::new(move || tell.send(()).unwrap_or_default());
        let questions = std::mem::take(&mut look.questions);
        self.imapd.responders().ask(questions, tell).then_some(told)
    }

    /// Waits until a session no longer has what it stands on: why, for the client.
    pub async fn until_refused(&mut self, seat: Option<Seat>) -> String {
        loop {
            self.until_due().await;
            if let (Some(why), _) = self.verdict(seat).await {
                return why;
            }
        }
    }

    /// Judges: why a session on this seat must end, if it must, and whom the certificates name.
    pub async fn verdict(&mut self, seat: Option<Seat>) -> (Option<String>, Option<Bearer>) {
        let bearer = self.judge().await;
        let why = match (&bearer, seat) {
            (_, None) => None,
            (Some(Bearer::Holder(now)), Some(seat)) if now.account == seat.named => {
                self.delegation(seat).await
            }
            (Some(Bearer::Refused(why)), Some(_)) => Some(why.clone()),
            (Some(_), Some(_)) => Some(Refusal::OtherMailbox.text()),
            (None, Some(_)) => Some(Cause::RevocationUnknown.text()),
        };
        (why, bearer)
    }

    /// Why a delegate's session must end although the certificate is good, if it must.
    async fn delegation(&self, seat: Seat) -> Option<String> {
        let (id, scope) = seat.delegation?;
        let store = self.imapd.store.clone();
        let stands = tokio::task::spawn_blocking(move || store.delegation_stands(id, scope));
        match stands.await {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some(Refusal::DelegationEnded.text()),
            _ => Some("Your delegation cannot be checked at the moment".to_owned()),
        }
    }

    fn hasten(&mut self) {
        self.due = self.due.min(self.judged + JUDGED_MIN);
    }
}

/// When a responder that was asked has answered, or will not any more; never, if none was.
async fn answered(asked: &mut Option<oneshot::Receiver<()>>) {
    match asked {
        Some(asked) => drop(asked.await),
        None => std::future::pending().await,
    }
}
