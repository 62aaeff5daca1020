//! The arithmetic of a month. Pure, and in whole numbers: what is rounded is rounded where the price list says, once for tax
//! and once for the amount payable, and the difference is a line of its own.

use std::fmt;

use serde::Deserialize;

use super::prices::{Alert, PriceList, Unit, Watched};

/// The largest amount and the largest count: what every reader of JSON keeps exactly (RFC 7493 §2.2).
pub const TOTAL_MAX: u64 = (1 << 53) - 1;

/// A month costs more than can be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess;

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a month with more than {TOTAL_MAX} of something cannot be billed"
        )
    }
}

impl std::error::Error for Excess {}

/// How what does not come out even is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// To the nearest; a half goes up.
    HalfUp,
    /// To the nearest; a half goes to the even one.
    HalfEven,
    /// Up.
    Up,
    /// Down.
    Down,
}

impl Rounding {
    /// `number / divisor`, rounded. A divisor of 0 counts as 1.
    pub fn divide(self, number: u128, divisor: u128) -> u128 {
        let divisor = divisor.max(1);
        let (whole, rest) = (number / divisor, number % divisor);
        let up = match self {
            Self::Down => false,
            Self::Up => rest > 0,
            Self::HalfUp => rest * 2 >= divisor,
            Self::HalfEven => rest * 2 > divisor || (rest * 2 == divisor && whole % 2 == 1),
        };
        whole + u128::from(up)
    }
}

/// What one message costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Its size class, by place.
    pub class: usize,
    /// Units it counts for.
    pub units: u64,
    /// How many of them cost nothing.
    pub free: u64,
    /// What the others cost.
    pub amount: u64,
}

/// Messages of one size class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassTotal {
    /// Messages.
    pub messages: u64,
    /// Units.
    pub units: u64,
    /// What they cost.
    pub amount: u64,
}

/// What a month costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Messages.
    pub messages: u64,
    /// Units, free ones too.
    pub units: u64,
    /// Units that cost nothing.
    pub free_units: u64,
    /// By size class, in the list's order.
    pub classes: Vec<ClassTotal>,
    /// The sum of all lines.
    pub lines: u64,
    /// What is added up to the minimum fee.
    pub supplement: u64,
    /// `lines` + `supplement`.
    pub net: u64,
    /// Tax on it.
    pub vat: u64,
    /// What rounding the amount payable adds or takes.
    pub rounding: i64,
    /// `net` + `vat` + `rounding`.
    pub payable: u64,
}

/// How far a month has been counted.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    units: u64,
    classes: Vec<ClassTotal>,
}

/// A month as it is counted, message by message in the order in which they were accepted.
#[derive(Debug, Clone)]
pub struct Meter<'a> {
    list: &'a PriceList,
    units: u64,
    classes: Vec<ClassTotal>,
}

impl<'a> Meter<'a> {
    /// A month in which nothing was sent yet.
    pub fn new(list: &'a PriceList) -> Self {
        Self::go_on(list, Counted::default())
    }

    /// A month that was counted so far by the same list.
    pub fn go_on(list: &'a PriceList, counted: Counted) -> Self {
        let Counted { units, mut classes } = counted;
        classes.resize(list.classes.len(), ClassTotal::default());
        Self {
            list,
            units,
            classes,
        }
    }

    /// How far it has been counted.
    pub fn counted(self) -> Counted {
        Counted {
            units: self.units,
            classes: self.classes,
        }
    }

    /// The next message of the month: its octets and its recipients.
    ///
    /// # Errors
    /// [`Excess`]; nothing is counted then.
    pub fn add(&mut self, size: u64, recipients: u64) -> Result<Charge, Excess> {
        let units = match self.list.unit {
            Unit::Message => 1,
            Unit::Recipient => recipients,
        };
        let class = self.list.class_of(size);
        let after = bounded(u128::from(self.units) + u128::from(units))?;
        let free = after.min(self.list.free_units) - self.units.min(self.list.free_units);
        let (from, to) = (self.priced(self.units), self.priced(after));
        let amount = bounded(self.cost(class, from, to))?;
        bounded(u128::from(self.lines()) + u128::from(amount))?;
        // Invariant: `class_of` gives the place of a class, and there is a total for each.
        let total = &mut self.classes[class];
        total.messages += 1;
        total.units += units;
        total.amount += amount;
        self.units = after;
        Ok(Charge {
            class,
            units,
            free,
            amount,
        })
    }

    /// What the month costs so far.
    ///
    /// # Errors
    /// [`Excess`].
    pub fn totals(&self) -> Result<Totals, Excess> {
        let list = self.list;
        let lines = self.lines();
        let supplement = list.minimum_fee.saturating_sub(lines);
        let net = bounded(u128::from(lines) + u128::from(supplement))?;
        let share = u128::from(net) * u128::from(list.vat_basis_points);
        let vat = bounded(list.rounding.divide(share, 10_000))?;
        let exact = u128::from(net) + u128::from(vat);
        let step = u128::from(list.round_to);
        let payable = bounded(list.rounding.divide(exact, step) * step)?;
        let exact = bounded(exact)?;
        Ok(Totals {
            messages: self.classes.iter().map(|class| class.messages).sum(),
            units: self.units,
            free_units: self.units.min(list.free_units),
            classes: self.classes.clone(),
            lines,
            supplement,
            net,
            vat,
            rounding: payable as i64 - exact as i64,
            payable,
        })
    }

    /// Whether so much of what is watched has been used.
    pub fn has_reached(&self, alert: &Alert) -> bool {
        let (used, whole) = self.used(alert.of);
        u128::from(used) * 100 >= u128::from(whole) * u128::from(alert.percent)
    }

    /// What was used of what is watched, and all there is of it.
    pub fn used(&self, watched: Watched) -> (u64, u64) {
        match watched {
            Watched::FreeUnits => (self.units, self.list.free_units),
            Watched::Ceiling => (self.lines(), self.list.ceiling),
        }
    }

    /// The sum of all lines so far.
    pub fn lines(&self) -> u64 {
        self.classes.iter().map(|class| class.amount).sum()
    }

    /// How many of the first `units` have a price.
    fn priced(&self, units: u64) -> u64 {
        units.saturating_sub(self.list.free_units)
    }

    /// What the priced units after the first `from` cost, up to the `to`th.
    fn cost(&self, class: usize, from: u64, to: u64) -> u128 {
        let ends = self.list.tiers.iter().skip(1).map(|next| next.from - 1);
        let tiers = self.list.tiers.iter().zip(ends.chain([u64::MAX]));
        tiers
            .map(|(tier, end)| {
                let begin = from.max(tier.from - 1);
                let units = to.min(end).saturating_sub(begin);
                u128::from(units) * u128::from(tier.prices[class])
            })
            .sum()
    }
}

fn bounded(number: u128) -> Result<u64, Excess> {
    u64::try_from(number)
        .ok()
        .filter(|number| *number <= TOTAL_MAX)
        .ok_or(Excess)
}

#[cfg(test)]
mod tests;
