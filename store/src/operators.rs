//! Who runs the post: listed operators, contract clerks and auditors.
//!
//! As long as nobody is listed, whoever can open the store is operator. From the first on, an act of an operator is taken
//! only from who is listed, and the mint writes name and role of the listing into the act's event, in its transaction.

use mail::digest::Digest;
use mail::time::Timestamp;
use receipts::actor::{Actor, ActorKind, Role};
use receipts::event::EventName;
use receipts::id::{EvidenceId, OperatorId};
use serde_json::{Value, json};

use crate::commit::{Act, Ticket};
use crate::contracts::one_line;
use crate::sql::{Row, Sql};
use crate::{Store, StoreError};

/// Listed persons at most: an operator's whole staff; each act of theirs is looked up among them.
const OPERATORS_MAX: i64 = 1_000;

/// The superuser reads the store's files whatever is listed, so locking it out would be a show.
const ROOT: u32 = 0;

/// A listed person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The id.
    pub id: OperatorId,
    /// The name by which they are managed and named in evidence; no two are alike.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their user id on the hosts of this post.
    pub uid: Option<u32>,
    /// SHA-256 of the DER of their certificate, for HTTP.
    pub certificate: Option<Digest>,
    /// Not before this instant.
    pub valid_from: Option<Timestamp>,
    /// Not from this instant on.
    pub valid_until: Option<Timestamp>,
}

/// What is changed of a listed person; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The role.
    pub role: Option<Role>,
    /// The user id.
    pub uid: Option<u32>,
    /// The certificate.
    pub certificate: Option<Digest>,
    /// The first instant.
    pub valid_from: Option<Timestamp>,
    /// The instant after the last.
    pub valid_until: Option<Timestamp>,
}

/// A change among those who are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody is listed; the terms have a role, and a user id or a certificate.
    Add {
        /// The name.
        name: String,
        /// The rest.
        terms: Terms,
    },
    /// Something about somebody changes.
    Set {
        /// The name.
        name: String,
        /// What.
        terms: Terms,
    },
    /// Somebody is taken off the list.
    Remove {
        /// The name.
        name: String,
        /// Why.
        why: String,
    },
}

/// What an actor is to this post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody is listed yet: who can open the store is operator.
    Open,
    /// Listed, and valid now.
    Listed(Operator),
    /// The superuser of this host, not listed: as an operator, but no second person.
    Root,
    /// Neither. Says why.
    Nobody(String),
}

impl Standing {
    /// The role in which acts are done, if any is.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Open | Self::Root => Some(Role::Operator),
            Self::Listed(operator) => Some(operator.role),
            Self::Nobody(_) => None,
        }
    }
}

impl Operator {
    /// Whether the listing counts at this instant.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= now)
            && self.valid_until.is_none_or(|until| now < until)
    }

    fn apply(&mut self, terms: &Terms) {
        self.role = terms.role.unwrap_or(self.role);
        self.uid = terms.uid.or(self.uid);
        self.certificate = terms.certificate.or(self.certificate);
        self.valid_from = terms.valid_from.or(self.valid_from);
        self.valid_until = terms.valid_until.or(self.valid_until);
    }

    fn facts(&self) -> Value {
        json!({
            "operator": self.id.to_string(),
            "name": self.name,
            "role": self.role.as_str(),
            "uid": self.uid,
            "certificate": self.certificate.map(|digest| digest.tagged()),
            "valid_from": self.valid_from.map(|time| time.to_string()),
            "valid_until": self.valid_until.map(|time| time.to_string()),
        })
    }
}

impl Store {
    /// This store for somebody else than who runs this process: an operator's act handed to it is theirs.
    #[must_use]
    pub fn acting_for(&self, caller: Actor) -> Self {
        self.for_caller(caller)
    }

    /// All who are listed, by name.
    pub fn operators(&self) -> Result<Vec<Operator>, StoreError> {
        let mut all =
            self.read(|sql| sql.all(&format!("SELECT {COLUMNS} FROM operator"), &[], from_row))?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// One of them.
    pub fn operator(&self, name: &str) -> Result<Option<Operator>, StoreError> {
        self.read(|sql| find(sql, name))
    }

    /// What an actor is to this post now. For a store that acts for somebody, that somebody.
    pub fn standing_of(&self, actor: &Actor) -> Result<Standing, StoreError> {
        let actor = self.caller().unwrap_or(actor);
        let now = self.now();
        self.read(|sql| standing(sql, actor, now))
    }

    /// Changes the list.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] says what cannot be: nobody would be left who may run the post, a user id or certificate is
    /// somebody else's; [`StoreError::NotFound`] and [`StoreError::Exists`] name the person.
    pub fn change_operators(&self, by: Actor, change: Change) -> Ticket<EvidenceId> {
        self.act(move |act| act.change_operators(&by, &change))
    }

    /// Records what an auditor asks, before the answer; nobody else's reading is recorded. `asked` names the query, and no
    /// person.
    pub fn query_made(&self, by: Actor, asked: Value) -> Result<Option<EvidenceId>, StoreError> {
        self.query(by, EventName::QueryMade, asked)
    }

    /// Records what an auditor was given to take away, as [`query_made`](Self::query_made).
    pub fn query_exported(&self, by: Actor, what: Value) -> Result<Option<EvidenceId>, StoreError> {
        self.query(by, EventName::QueryExported, what)
    }

    fn query(
        &self,
        by: Actor,
        event: EventName,
        asked: Value,
    ) -> Result<Option<EvidenceId>, StoreError> {
        let Standing::Listed(operator) = self.standing_of(&by)? else {
            return Ok(None);
        };
        if operator.role != Role::Auditor {
            return Ok(None);
        }
        let id = operator.id;
        self.act(move |act| {
            let mut more = asked;
            more["operator"] = json!(id.to_string());
            act.operator_event(&by, event, id.to_bytes(), more)
        })
        .wait()
        .map(|minted| Some(minted.id))
    }
}

impl Act<'_> {
    pub(crate) fn change_operators(
        &mut self,
        by: &Actor,
        change: &Change,
    ) -> Result<EvidenceId, StoreError> {
        let minted = match change {
            Change::Add { name, terms } => self.add_operator(by, name, terms)?,
            Change::Set { name, terms } => self.set_operator(by, name, terms)?,
            Change::Remove { name, why } => self.remove_operator(by, name, why)?,
        };
        self.minter.forget_actor();
        self.revise()?;
        Ok(minted)
    }

    fn add_operator(
        &mut self,
        by: &Actor,
        name: &str,
        terms: &Terms,
    ) -> Result<EvidenceId, StoreError> {
        let name = one_line("the name", name)?;
        if find(self.sql, &name)?.is_some() {
            return Err(StoreError::Exists(format!("operator {name:?}")));
        }
        let listed = count(self.sql)?;
        if listed >= OPERATORS_MAX {
            return Err(StoreError::Invalid(format!(
                "{OPERATORS_MAX} operators are listed already"
            )));
        }
        let role = terms
            .role
            .ok_or_else(|| StoreError::Invalid("an operator needs a role".into()))?;
        let mut operator = Operator {
            id: OperatorId::from_bytes(self.minter.next_id()?.to_bytes()),
            name,
            role,
            uid: None,
            certificate: None,
            valid_from: None,
            valid_until: None,
        };
        operator.apply(terms);
        self.check_operator(&operator)?;
        // The event is minted first: until it is, nobody is listed, and who lists the first is not yet.
        let minted = self.operator_event(
            by,
            EventName::OperatorAdded,
            operator.id.to_bytes(),
            operator.facts(),
        )?;
        self.write_operator(&operator)?;
        self.somebody_is_left()?;
        Ok(minted.id)
    }

    fn set_operator(
        &mut self,
        by: &Actor,
        name: &str,
        terms: &Terms,
    ) -> Result<EvidenceId, StoreError> {
        let mut operator = listed(self.sql, name)?;
        let before = operator.clone();
        operator.apply(terms);
        if operator == before {
            return Err(StoreError::Invalid(format!(
                "operator {name:?} is so already: nothing changes"
            )));
        }
        self.check_operator(&operator)?;
        let minted = self.operator_event(
            by,
            EventName::OperatorChanged,
            operator.id.to_bytes(),
            operator.facts(),
        )?;
        self.sql.run(
            "DELETE FROM operator WHERE id = $1",
            &[(&operator.id.to_bytes()).into()],
        )?;
        self.write_operator(&operator)?;
        self.somebody_is_left()?;
        Ok(minted.id)
    }

    fn remove_operator(
        &mut self,
        by: &Actor,
        name: &str,
        why: &str,
    ) -> Result<EvidenceId, StoreError> {
        let operator = listed(self.sql, name)?;
        let why = one_line("the reason", why)?;
        let id = operator.id.to_bytes();
        let more =
            json!({ "operator": operator.id.to_string(), "name": operator.name, "why": why });
        let minted = self.operator_event(by, EventName::OperatorRemoved, id, more)?;
        self.sql
            .run("DELETE FROM operator WHERE id = $1", &[(&id).into()])?;
        self.somebody_is_left()?;
        Ok(minted.id)
    }

    /// Somebody can be recognised by what is listed, and by nothing that is another's.
    fn check_operator(&mut self, operator: &Operator) -> Result<(), StoreError> {
        if operator.uid.is_none() && operator.certificate.is_none() {
            return Err(StoreError::Invalid(format!(
                "operator {:?} needs a user id or a certificate to be recognised by",
                operator.name
            )));
        }
        if let (Some(from), Some(until)) = (operator.valid_from, operator.valid_until)
            && until <= from
        {
            return Err(StoreError::Invalid(format!(
                "operator {:?} would end before they begin",
                operator.name
            )));
        }
        let others = self.sql.all(
            &format!("SELECT {COLUMNS} FROM operator WHERE id <> $1"),
            &[(&operator.id.to_bytes()).into()],
            from_row,
        )?;
        for other in others {
            if operator.uid.is_some() && other.uid == operator.uid {
                return Err(StoreError::Invalid(format!(
                    "that user id is operator {:?} already: two persons are two",
                    other.name
                )));
            }
            if operator.certificate.is_some() && other.certificate == operator.certificate {
                return Err(StoreError::Invalid(format!(
                    "that certificate is operator {:?} already: two persons are two",
                    other.name
                )));
            }
        }
        Ok(())
    }

    fn write_operator(&mut self, operator: &Operator) -> Result<(), StoreError> {
        self.sql
            .run(
                "INSERT INTO operator (id, name, role, uid, certificate, valid_from, valid_until) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                &[
                    (&operator.id.to_bytes()).into(),
                    (&operator.name).into(),
                    operator.role.as_str().into(),
                    operator.uid.into(),
                    operator.certificate.as_ref().map(|d| d.as_bytes()).into(),
                    operator.valid_from.map(|t| t.as_millis()).into(),
                    operator.valid_until.map(|t| t.as_millis()).into(),
                ],
            )
            .map(drop)
    }

    /// Nothing but an operator lists operators: without one who is valid now, the list could not be mended.
    fn somebody_is_left(&mut self) -> Result<(), StoreError> {
        let now = self.minter.now();
        let left = self
            .sql
            .all(&format!("SELECT {COLUMNS} FROM operator"), &[], from_row)?;
        let may = |one: &Operator| one.role == Role::Operator && one.is_valid(now);
        if left.iter().any(may) {
            return Ok(());
        }
        Err(StoreError::Invalid(
            "nobody of role operator would be listed and valid now: the first and the last listed must be an operator"
                .into(),
        ))
    }
}

const COLUMNS: &str = "id, name, role, uid, certificate, valid_from, valid_until";

fn count(sql: &mut dyn Sql) -> Result<i64, StoreError> {
    sql.integer("SELECT COUNT(*) FROM operator", &[])
}

fn find(sql: &mut dyn Sql, name: &str) -> Result<Option<Operator>, StoreError> {
    sql.first(
        &format!("SELECT {COLUMNS} FROM operator WHERE name = $1"),
        &[name.into()],
        from_row,
    )
}

fn listed(sql: &mut dyn Sql, name: &str) -> Result<Operator, StoreError> {
    find(sql, name)?.ok_or_else(|| StoreError::NotFound(format!("operator {name:?}")))
}

/// Who is listed under an id, whether valid now or not.
pub(crate) fn by_id(sql: &mut dyn Sql, id: OperatorId) -> Result<Option<Operator>, StoreError> {
    sql.first(
        &format!("SELECT {COLUMNS} FROM operator WHERE id = $1"),
        &[(&id.to_bytes()).into()],
        from_row,
    )
}

/// What an actor is to this post.
pub(crate) fn standing(
    sql: &mut dyn Sql,
    actor: &Actor,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    if count(sql)? == 0 {
        return Ok(match actor.certificate {
            None => Standing::Open,
            Some(_) => Standing::Nobody("no operator of this post is listed".into()),
        });
    }
    let (query, who) = match (&actor.certificate, actor.uid) {
        (Some(digest), _) => (
            sql.first(
                &format!("SELECT {COLUMNS} FROM operator WHERE certificate = $1"),
                &[digest.as_bytes().into()],
                from_row,
            )?,
            "this certificate".to_owned(),
        ),
        (None, Some(uid)) => (
            sql.first(
                &format!("SELECT {COLUMNS} FROM operator WHERE uid = $1"),
                &[uid.into()],
                from_row,
            )?,
            format!("user id {uid}"),
        ),
        (None, None) => (None, "somebody unknown".to_owned()),
    };
    Ok(match query {
        Some(operator) if operator.is_valid(now) => Standing::Listed(operator),
        _ if actor.certificate.is_none() && actor.uid == Some(ROOT) => Standing::Root,
        Some(operator) => Standing::Nobody(format!(
            "operator {:?} is listed for other dates",
            operator.name
        )),
        None => Standing::Nobody(format!("{who} is no operator of this post")),
    })
}

/// The actor as evidence names them: who is listed by name and role.
pub(crate) fn named(sql: &mut dyn Sql, actor: &Actor, now: Timestamp) -> Result<Actor, StoreError> {
    if actor.kind != ActorKind::Operator {
        return Ok(actor.clone());
    }
    let mut named = actor.clone();
    named.role = None;
    match standing(sql, actor, now)? {
        Standing::Listed(operator) => {
            named.name = Some(operator.name);
            named.role = Some(operator.role);
        }
        Standing::Open | Standing::Root => {}
        Standing::Nobody(why) => return Err(StoreError::Denied(why)),
    }
    Ok(named)
}

fn from_row(row: &dyn Row) -> Result<Operator, StoreError> {
    let time = |column| {
        row.optional(column, |row, column| {
            Ok(Timestamp::from_millis(row.int(column)?))
        })
    };
    let role = row.text(2)?;
    Ok(Operator {
        id: OperatorId::from_bytes(row.array(0)?),
        name: row.string(1)?,
        role: role
            .parse()
            .map_err(|e| StoreError::damaged(format!("operator of role {role:?}: {e}")))?,
        uid: row.optional(3, |row, column| row.number(column))?,
        certificate: row.optional(4, |row, column| Ok(Digest::from_bytes(row.array(column)?)))?,
        valid_from: time(5)?,
        valid_until: time(6)?,
    })
}
