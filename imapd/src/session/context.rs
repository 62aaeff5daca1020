//! What the commands may do to a session.

use std::sync::atomic::Ordering;

use super::Session;
use super::reply::Reply;
use super::state::{Bearer, Holder, State};
use super::view::View;
use crate::codec::Output;
use crate::limits;

impl Session {
    /// What may be announced now (RFC 3501 §6.1.1): ways to log in only when there is one.
    pub(crate) fn capabilities(&self) -> String {
        let mut words = String::from("IMAP4rev1 LITERAL- ID IDLE NAMESPACE UIDPLUS UNSELECT MOVE");
        if matches!(self.state, State::NotAuthenticated) {
            words.push_str(match (&self.bearer, self.door.tls) {
                (Bearer::Holder(_), _) => " SASL-IR AUTH=EXTERNAL AUTH=PLAIN",
                (_, true) => " LOGINDISABLED",
                (_, false) => " STARTTLS LOGINDISABLED",
            });
        }
        words
    }

    /// What the client calls itself: part of who acts from now on.
    pub(crate) fn client_is(&mut self, client: String) {
        if let Bearer::Holder(holder) = &mut self.bearer {
            holder.actor.client = Some(client.clone());
        }
        if let State::Authenticated(holder) | State::Selected(holder, _) = &mut self.state {
            holder.actor.client = Some(client);
            self.acknowledging.by(holder.actor.clone());
        }
    }

    /// The holder is logged in.
    pub(crate) fn enter(&mut self, holder: Holder) {
        self.framer.allow(limits::COMMAND_OCTETS_MAX);
        self.acknowledging.by(holder.actor.clone());
        self.state = State::Authenticated(holder);
    }

    /// One more refused log-in: its answer waits, and the last one ends the connection.
    pub(crate) fn login_failed(&mut self, text: String) -> Reply {
        self.faults.logins += 1;
        let doublings = (self.faults.logins - 1).min(16);
        self.pause = Some(
            limits::LOGIN_DELAY
                .saturating_mul(1 << doublings)
                .min(limits::LOGIN_DELAY_MAX),
        );
        if self.faults.logins >= limits::LOGIN_FAILURES_MAX {
            self.bye("too many refused log-ins");
        }
        Reply::no("AUTHENTICATIONFAILED", text)
    }

    /// Something changed by this session itself.
    pub(crate) fn stir(&self) {
        self.stirred.store(true, Ordering::Release);
    }

    /// Whether TLS stands.
    pub(crate) fn is_tls(&self) -> bool {
        self.door.tls
    }

    /// The open mailbox.
    pub(crate) fn selected(&mut self) -> Option<(&Holder, &mut View, &mut Output)> {
        match &mut self.state {
            State::Selected(holder, view) => Some((holder, view, &mut self.output)),
            _ => None,
        }
    }

    /// Opens a mailbox, or with `None` goes back to none.
    pub(crate) fn open(&mut self, view: Option<View>) {
        let state = std::mem::replace(&mut self.state, State::Logout);
        self.state = match (state, view) {
            (State::Authenticated(holder) | State::Selected(holder, _), Some(view)) => {
                State::Selected(holder, Box::new(view))
            }
            (State::Authenticated(holder) | State::Selected(holder, _), None) => {
                State::Authenticated(holder)
            }
            (other, _) => other,
        };
    }
}
