//! Who gives the commands: a person at this host, known by the operating system.

use nix::unistd::{Uid, User};
use store::{Actor, ActorKind, Auth};

/// The person at the keyboard, as evidence names them.
pub fn actor() -> Actor {
    let uid = Uid::current();
    let mut actor = Actor::new(ActorKind::Operator);
    actor.auth = vec![Auth::LocalUid];
    actor.uid = Some(uid.as_raw());
    // A user without an entry, as in some containers, is known by number alone.
    actor.name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    actor
}
