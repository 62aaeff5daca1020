//! Pages read ahead: while one is looked at, the next is read on another core.

use std::sync::mpsc::sync_channel;
use std::thread;

/// Pages that wait to be looked at: the memory of an audit does not grow with the store.
const PAGES_AHEAD: usize = 2;

/// Hands every page that `read` gives to `look`, in order, until there is none or one of them fails.
///
/// # Errors
/// The first, in the order of pages.
pub(super) fn each_page<T: Send, E: Send>(
    mut read: impl FnMut() -> Result<Option<T>, E> + Send,
    mut look: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    thread::scope(|scope| {
        let (pages, waiting) = sync_channel(PAGES_AHEAD);
        scope.spawn(move || {
            loop {
                let page = read().transpose();
                let last = !matches!(page, Some(Ok(_)));
                // Nobody looks any more once a page has failed.
                let gone = page.is_some_and(|page| pages.send(page).is_err());
                if last || gone {
                    return;
                }
            }
        });
        for page in waiting {
            look(page?)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_in_order_and_the_first_failure_ends_it() {
        let mut next = 0;
        let mut seen = Vec::new();
        let read = || {
            next += 1;
            match next {
                20 => Err("unreadable"),
                number => Ok(Some(number)),
            }
        };
        let ended = each_page(read, |page| {
            seen.push(page);
            Ok(())
        });
        assert_eq!(ended, Err("unreadable"));
        assert_eq!(seen, (1..20).collect::<Vec<_>>());

        let mut left = 3..=5;
        let mut sum = 0;
        let ended = each_page(
            || Ok(left.next()),
            |page| {
                sum += page;
                if page == 4 { Err("wrong") } else { Ok(()) }
            },
        );
        assert_eq!((ended, sum), (Err("wrong"), 7));
    }
}
