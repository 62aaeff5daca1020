//! The CPU time of a process with all it has started, also of those that have ended: servers of many processes spend
//! it in these.

use std::collections::HashMap;

use crate::failure::{Failure, Outcome};

/// Ticks a second in which Linux tells CPU time to programs (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A master and its processes.
#[derive(Debug, Clone, Copy)]
pub struct Family(u32);

/// Of one process.
#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    /// Its own, and that of its children that have ended.
    ticks: f64,
}

impl Family {
    /// Of the master with this number.
    pub fn new(master: u32) -> Self {
        Self(master)
    }

    /// What they have used until now, in steps of 10 ms a process.
    ///
    /// # Errors
    /// When the system does not tell, or the master has ended.
    pub fn cpu_s(self) -> Outcome<f64> {
        let folder = std::fs::read_dir("/proc").map_err(|e| Failure::doing("/proc", &e))?;
        let names = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        // A process that ends meanwhile is no error: its time is its parent's from then on.
        let all: HashMap<u32, Stat> = names
            .filter_map(|id| {
                let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
                Some((id, stat(&text)?))
            })
            .collect();
        if !all.contains_key(&self.0) {
            return Err(Failure::is_false(format!("process {} has ended", self.0)));
        }
        Ok(self.sum(&all) / TICKS_PER_SECOND)
    }

    fn sum(self, all: &HashMap<u32, Stat>) -> f64 {
        let own = |id: &u32| {
            let mut at = *id;
            // A chain of parents is never longer than there are processes.
            for _ in 0..all.len() {
                match all.get(&at) {
                    _ if at == self.0 => return true,
                    Some(stat) => at = stat.parent,
                    None => return false,
                }
            }
            false
        };
        let members = all.iter().filter(|(id, _)| own(id));
        members.map(|(_, stat)| stat.ticks).sum()
    }
}

/// ppid, and utime, stime, cutime, cstime: the 4th and the 14th to 17th field (proc(5)); the second, a name in
/// parentheses, may hold blanks.
fn stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<f64>());
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks.sum::<Result<f64, _>>().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_and_only_the_family_is_summed() {
        let text = "7 (a b) c) S 3 7 7 0 -1 4194560 1 0 0 0 250 50 40 2 20 0 4 0 5 6 7";
        let (parent, ticks) = (3, 342.0);
        assert_eq!(stat(text), Some(Stat { parent, ticks }));
        assert_eq!(stat("7 (a) S 3"), None);
        let stat = |parent, ticks| Stat { parent, ticks };
        let all = HashMap::from([
            (1, stat(0, 1000.0)),
            (2, stat(1, 1.0)),
            (3, stat(2, 10.0)),
            (4, stat(3, 100.0)),
            (5, stat(1, 5000.0)),
        ]);
        assert_eq!(Family::new(2).sum(&all), 111.0);
    }
}
