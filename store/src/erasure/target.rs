//! What one erasure is about, looked up: the same for a plan and for the act.

use mail::address::Address;
use receipts::id::{ContractId, MessageId};

use super::{Plan, Scope, Wish};
use crate::StoreError;
use crate::content::Place;
use crate::evidence::{COLUMNS, from_row};
use crate::mint::Chain;
use crate::sql::{Param, Sql};

/// The events of a message that an erasure may destroy: not those that say that something was erased, which name nobody.
const ERASABLE: &str = "chain_kind = 1 AND chain_subject = $1 AND erasure IS NULL \
     AND NOT (chain_ordinal = 0 AND event = 'removed')";

/// What takes a condition on a chain with its parameters.
type EachChain<'a> = dyn FnMut(&str, &[Param<'_>]) -> Result<(), StoreError> + 'a;

/// What one erasure is about.
pub(super) struct Target {
    pub(super) message: MessageId,
    pub(super) contract: ContractId,
    /// The row of the message; `None`: the submission was rejected.
    pub(super) row: Option<i64>,
    pub(super) scope: Scope,
    /// Whose chains, for a recipient's part; `None`: all of the message.
    pub(super) ordinals: Option<Vec<u32>>,
    /// Rows of recipients.
    pub(super) recipients: Vec<i64>,
    /// Content that is not given up yet, and now is.
    pub(super) content: Option<(Place, u64)>,
}

impl Target {
    /// `None` when nothing is left to erase.
    pub(super) fn find(sql: &mut dyn Sql, wish: &Wish) -> Result<Option<Self>, StoreError> {
        let mut target = Self::of_message(sql, wish.message)?;
        target.scope = wish.scope;
        if let Some(address) = &wish.recipient {
            target.narrow(sql, address)?;
        }
        if target.scope == Scope::Recipient {
            target.content = None;
        }
        target.recipients = target.recipient_rows(sql)?;
        let left = match target.scope {
            Scope::Content if target.row.is_none() => {
                let what = format!("content of message {}", target.message);
                return Err(StoreError::NotFound(what));
            }
            Scope::Content => target.content.is_some(),
            Scope::Recipient | Scope::Message => target.count_events(sql)? > 0,
        };
        Ok(left.then_some(target))
    }

    fn of_message(sql: &mut dyn Sql, message: MessageId) -> Result<Self, StoreError> {
        let key = message.to_bytes();
        let found = sql.first(
            "SELECT id, contract, content_file, content_offset, size, erased FROM message WHERE ulid = $1",
            &[(&key).into()],
            |row| {
                let place = Place {
                    file: row.int(2)?,
                    offset: row.number(3)?,
                };
                let there = row.is_null(5)?;
                let content = Some((place, row.number(4)?)).filter(|_| there);
                Ok((Some(row.int(0)?), row.array(1)?, content))
            },
        )?;
        let found = match found {
            Some(found) => Some(found),
            None => sql.first(
                "SELECT contract FROM rejection WHERE ulid = $1",
                &[(&key).into()],
                |row| Ok((None, row.array(0)?, None)),
            )?,
        };
        let (row, contract, content) =
            found.ok_or_else(|| StoreError::NotFound(format!("message {message}")))?;
        Ok(Self {
            message,
            contract: ContractId::from_bytes(contract),
            row,
            scope: Scope::Message,
            ordinals: None,
            recipients: Vec::new(),
            content,
        })
    }

    /// Only this recipient's part; the last recipient takes the rest with it, for then nobody needs it.
    fn narrow(&mut self, sql: &mut dyn Sql, address: &Address) -> Result<(), StoreError> {
        let wanted = address.canonical().to_string();
        let mut own = Vec::new();
        let mut others = false;
        let mut each = |ordinal: u32, named: &str| {
            let same =
                Address::parse(named).is_ok_and(|named| named.canonical().to_string() == wanted);
            if same {
                own.push(ordinal);
            } else {
                others = true;
            }
        };
        sql.rows(
            &format!("SELECT {COLUMNS} FROM evidence WHERE {ERASABLE}"),
            &[(&self.message.to_bytes()).into()],
            &mut |row| {
                if let Some(record) = from_row(row)?.whole()
                    && let Some(to) = &record.event.subject.recipient
                {
                    each(to.ordinal, &to.address);
                }
                Ok(crate::sql::Flow::More)
            },
        )?;
        own.sort_unstable();
        own.dedup();
        if own.is_empty() {
            return Err(StoreError::NotFound(format!(
                "recipient {address} of message {} (never one of them, or erased)",
                self.message
            )));
        }
        if others {
            self.ordinals = Some(own);
        } else {
            self.scope = Scope::Message;
        }
        Ok(())
    }

    fn recipient_rows(&self, sql: &mut dyn Sql) -> Result<Vec<i64>, StoreError> {
        let Some(row) = self.row else {
            return Ok(Vec::new());
        };
        let all = sql.all(
            "SELECT id, ordinal FROM recipient WHERE message = $1 ORDER BY id",
            &[row.into()],
            |row| Ok((row.int(0)?, row.number::<u32>(1)?)),
        )?;
        let wanted = |ordinal: &u32| {
            let only = self.ordinals.as_ref();
            only.is_none_or(|only| only.contains(ordinal))
        };
        Ok(all
            .into_iter()
            .filter(|(_, ordinal)| wanted(ordinal))
            .map(|(id, _)| id)
            .collect())
    }

    /// The events that lose their octets: place in the order of evidence, and id.
    pub(super) fn evidence(&self, sql: &mut dyn Sql) -> Result<Vec<(u64, [u8; 16])>, StoreError> {
        if self.scope == Scope::Content {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        self.each_chain(&mut |condition, params| {
            let query = format!("SELECT ordinal, id FROM evidence WHERE {ERASABLE} {condition}");
            found.extend(sql.all(&query, params, |row| Ok((row.number(0)?, row.array(1)?)))?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Octets and salt become nothing; the leaf stays.
    pub(super) fn destroy_evidence(
        &self,
        sql: &mut dyn Sql,
        erasure: i64,
    ) -> Result<(), StoreError> {
        for (ordinal, _) in self.evidence(sql)? {
            sql.run(
                "UPDATE evidence SET canonical = $2, salt = $2, erasure = $3 WHERE ordinal = $1",
                &[Param::Int(ordinal as i64), Param::Blob(&[]), erasure.into()],
            )?;
        }
        Ok(())
    }

    pub(super) fn plan(&self, sql: &mut dyn Sql) -> Result<Plan, StoreError> {
        let mut plan = Plan {
            scope: self.scope,
            recipients: self.recipients.len() as u64,
            placements: 0,
            events: 0,
            letters: 0,
            tasks: 0,
            content_bytes: self.content.map_or(0, |(_, size)| size),
        };
        for recipient in &self.recipients {
            let count = "SELECT COUNT(*) FROM placement WHERE recipient = $1";
            plan.placements += sql.integer(count, &[(*recipient).into()])? as u64;
        }
        for (ordinal, id) in self.evidence(sql)? {
            plan.events += 1;
            let count = "SELECT COUNT(*) FROM outbound WHERE evidence = $1";
            plan.letters += sql.integer(count, &[(&id).into()])? as u64;
            let count = "SELECT COUNT(*) FROM task WHERE evidence = $1";
            plan.tasks += sql.integer(count, &[Param::Int(ordinal as i64)])? as u64;
        }
        Ok(plan)
    }

    fn count_events(&self, sql: &mut dyn Sql) -> Result<usize, StoreError> {
        Ok(self.evidence(sql)?.len())
    }

    /// Hands over a condition for each chain in question, with the parameters that it and [`ERASABLE`] have.
    fn each_chain(&self, each: &mut EachChain<'_>) -> Result<(), StoreError> {
        let key = self.message.to_bytes();
        match &self.ordinals {
            None => each("ORDER BY ordinal", &[(&key).into()]),
            Some(ordinals) => {
                for ordinal in ordinals {
                    let chain = Chain::message(self.message, *ordinal);
                    each(
                        "AND chain_ordinal = $2 ORDER BY ordinal",
                        &[(&chain.subject).into(), (*ordinal).into()],
                    )?;
                }
                Ok(())
            }
        }
    }
}
