use proptest::prelude::*;

use super::*;

const SAMPLE: &str = include_str!("../../../etc/contracts/prices/am-sample-1.toml");

/// The sample with some keys changed.
fn list(changes: &[(&str, &str)]) -> PriceList {
    let text = changes.iter().fold(SAMPLE.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1)
    });
    PriceList::parse(&text).unwrap()
}

fn month(list: &PriceList, messages: &[(u64, u64)]) -> (Vec<Charge>, Totals) {
    let mut meter = Meter::new(list);
    let charges = messages
        .iter()
        .map(|(size, recipients)| meter.add(*size, *recipients).unwrap())
        .collect();
    (charges, meter.totals().unwrap())
}

const KB: u64 = 1024;
const MB: u64 = 1024 * 1024;

#[test]
fn each_message_costs_what_its_units_do() {
    let per_recipient = list(&[]);
    let per_message = list(&[("unit = \"recipient\"", "unit = \"message\"")]);
    let free_of_charge = list(&[("free_units = 100", "free_units = 1000000")]);
    #[rustfmt::skip]
    type Row<'a> = (&'a str, &'a PriceList, &'a [(u64, u64)], &'a [(u64, u64, u64)]);
    let table: &[Row<'_>] = &[
        // name, list, messages (size, recipients), charges (units, free, amount)
        ("nothing", &per_recipient, &[], &[]),
        (
            "within the free units",
            &per_recipient,
            &[(KB, 100)],
            &[(100, 100, 0)],
        ),
        (
            "the first unit that costs",
            &per_recipient,
            &[(KB, 100), (KB, 1)],
            &[(100, 100, 0), (1, 0, 5_000)],
        ),
        (
            "across the free units",
            &per_recipient,
            &[(KB, 103)],
            &[(103, 100, 15_000)],
        ),
        (
            "no recipient, no unit",
            &per_recipient,
            &[(KB, 0)],
            &[(0, 0, 0)],
        ),
        (
            "a class's last octet",
            &per_recipient,
            &[(KB, 100), (MB, 1), (MB + 1, 1)],
            &[(100, 100, 0), (1, 0, 5_000), (1, 0, 9_000)],
        ),
        (
            "the largest class",
            &per_recipient,
            &[(KB, 100), (50 * MB, 2)],
            &[(100, 100, 0), (2, 0, 40_000)],
        ),
        (
            "the last unit of a tier",
            &per_recipient,
            &[(KB, 10_100)],
            &[(10_100, 100, 50_000_000)],
        ),
        (
            "the first of the next",
            &per_recipient,
            &[(KB, 10_100), (KB, 1)],
            &[(10_100, 100, 50_000_000), (1, 0, 3_500)],
        ),
        (
            "across a tier",
            &per_recipient,
            &[(KB, 10_099), (KB, 2)],
            &[(10_099, 100, 49_995_000), (2, 0, 8_500)],
        ),
        (
            "across all tiers",
            &per_recipient,
            &[(KB, 100_200)],
            &[(100_200, 100, 50_000_000 + 90_000 * 3_500 + 100 * 2_000)],
        ),
        (
            "tiers count units of all classes",
            &per_recipient,
            &[(KB, 10_100), (20 * MB, 1)],
            &[(10_100, 100, 50_000_000), (1, 0, 18_000)],
        ),
        (
            "a message is one unit",
            &per_message,
            &[(KB, 1000), (KB, 0)],
            &[(1, 1, 0), (1, 1, 0)],
        ),
        (
            "all is free",
            &free_of_charge,
            &[(50 * MB, 1000)],
            &[(1000, 1000, 0)],
        ),
    ];
    for (name, list, messages, wanted) in table {
        let (charges, totals) = month(list, messages);
        let got: Vec<(u64, u64, u64)> = charges
            .iter()
            .map(|c| (c.units, c.free, c.amount))
            .collect();
        assert_eq!(got, *wanted, "{name}");
        assert_eq!(totals.messages, messages.len() as u64, "{name}");
    }
}

#[test]
fn a_month_is_rounded_where_the_list_says() {
    // 1 unit of 10001 luma after the free ones: 20 % of it is 2000.2.
    let odd = ("letter = 5000", "letter = 10001");
    let exact = ("round_to = 100", "round_to = 1");
    let fee = ("minimum_fee = 0", "minimum_fee = 20000");
    let tax = ("vat_basis_points = 2000", "vat_basis_points = 2525");
    #[rustfmt::skip]
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], [u64; 4], i64);
    let table: &[Row<'_>] = &[
        // name, changes, [supplement, net, vat, payable], rounding
        ("as it is", &[], [0, 5_000, 1_000, 6_000], 0),
        (
            "tax to the smallest unit",
            &[odd, exact],
            [0, 10_001, 2_000, 12_001],
            0,
        ),
        (
            "payable to whole drams",
            &[odd],
            [0, 10_001, 2_000, 12_000],
            -1,
        ),
        (
            "tax up",
            &[odd, exact, ("rounding = \"half-up\"", "rounding = \"up\"")],
            [0, 10_001, 2_001, 12_002],
            0,
        ),
        (
            "payable up",
            &[odd, ("rounding = \"half-up\"", "rounding = \"up\"")],
            [0, 10_001, 2_001, 12_100],
            98,
        ),
        (
            "tax down",
            &[odd, ("rounding = \"half-up\"", "rounding = \"down\"")],
            [0, 10_001, 2_000, 12_000],
            -1,
        ),
        // 5000 + 1262.5: a half.
        ("a half up", &[tax, exact], [0, 5_000, 1_263, 6_263], 0),
        (
            "a half to even",
            &[
                tax,
                exact,
                ("rounding = \"half-up\"", "rounding = \"half-even\""),
            ],
            [0, 5_000, 1_262, 6_262],
            0,
        ),
        (
            "a half dram up",
            &[
                ("letter = 5000", "letter = 5050"),
                ("vat_basis_points = 2000", "vat_basis_points = 0"),
            ],
            [0, 5_050, 0, 5_100],
            50,
        ),
        (
            "a half dram to even",
            &[
                ("letter = 5000", "letter = 5050"),
                ("vat_basis_points = 2000", "vat_basis_points = 0"),
                ("rounding = \"half-up\"", "rounding = \"half-even\""),
            ],
            [0, 5_050, 0, 5_000],
            -50,
        ),
        (
            "the minimum fee",
            &[fee],
            [15_000, 20_000, 4_000, 24_000],
            0,
        ),
    ];
    for (name, changes, [supplement, net, vat, payable], rounding) in table {
        let (_, totals) = month(&list(changes), &[(KB, 100), (KB, 1)]);
        let got = [totals.supplement, totals.net, totals.vat, totals.payable];
        assert_eq!(got, [*supplement, *net, *vat, *payable], "{name}");
        assert_eq!(totals.rounding, *rounding, "{name}");
    }
    // A month without a message costs the minimum fee, or nothing.
    assert_eq!(month(&list(&[fee]), &[]).1.payable, 24_000);
    assert_eq!(month(&list(&[]), &[]).1.payable, 0);
}

#[test]
fn division_rounds_as_it_says() {
    use Rounding::{Down, HalfEven, HalfUp, Up};
    for (number, divisor, up, down, half_up, half_even) in [
        (0, 3, 0, 0, 0, 0),
        (1, 2, 1, 0, 1, 0),
        (3, 2, 2, 1, 2, 2),
        (5, 2, 3, 2, 3, 2),
        (7, 3, 3, 2, 2, 2),
        (8, 3, 3, 2, 3, 3),
        (9, 3, 3, 3, 3, 3),
        (7, 0, 7, 7, 7, 7),
    ] {
        let got = [Up, Down, HalfUp, HalfEven].map(|rounding| rounding.divide(number, divisor));
        assert_eq!(got, [up, down, half_up, half_even], "{number}/{divisor}");
    }
}

#[test]
fn alerts_are_reached_at_their_share_and_not_before() {
    let list = list(&[]);
    let (eighty, whole) = (list.alerts[0], list.alerts[1]);
    assert_eq!(
        (eighty.percent, whole.percent, eighty.of),
        (80, 100, Watched::FreeUnits)
    );
    let mut meter = Meter::new(&list);
    meter.add(KB, 79).unwrap();
    assert!(!meter.has_reached(&eighty));
    meter.add(KB, 1).unwrap();
    assert!(meter.has_reached(&eighty) && !meter.has_reached(&whole));
    meter.add(KB, 20).unwrap();
    assert!(meter.has_reached(&whole));
    // The ceiling is 10 000 000, a letter costs 5 000.
    let ceiling = list.alerts[3];
    meter.add(KB, 1_999).unwrap();
    assert!(!meter.has_reached(&ceiling));
    meter.add(KB, 1).unwrap();
    assert!(meter.has_reached(&ceiling));
}

#[test]
fn what_cannot_be_written_down_is_refused_and_not_counted() {
    let list = list(&[]);
    let mut meter = Meter::new(&list);
    assert_eq!(meter.add(KB, u64::MAX), Err(Excess));
    assert_eq!(meter.add(50 * MB, TOTAL_MAX), Err(Excess));
    assert_eq!(meter.totals().unwrap().messages, 0);
    meter.add(KB, 1).unwrap();
}

fn messages() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..20 * MB, 0_u64..30_000), 0..60)
}

fn any_list() -> impl Strategy<Value = PriceList> {
    let rounding = prop::sample::select(vec!["half-up", "half-even", "up", "down"]);
    let unit = prop::sample::select(vec!["message", "recipient"]);
    (
        rounding,
        unit,
        0_u64..5_000,
        0_u64..1_000_000,
        0_u64..10_000,
        1_u64..1_000,
    )
        .prop_map(|(rounding, unit, free, fee, vat, step)| {
            list(&[
                (
                    "rounding = \"half-up\"",
                    &format!("rounding = \"{rounding}\""),
                ),
                ("unit = \"recipient\"", &format!("unit = \"{unit}\"")),
                ("free_units = 100", &format!("free_units = {}", free + 1)),
                ("minimum_fee = 0", &format!("minimum_fee = {fee}")),
                (
                    "vat_basis_points = 2000",
                    &format!("vat_basis_points = {vat}"),
                ),
                ("round_to = 100", &format!("round_to = {step}")),
            ])
        })
}

proptest! {
    #[test]
    fn the_parts_are_the_whole(list in any_list(), messages in messages()) {
        let (charges, totals) = month(&list, &messages);
        let sum = |part: fn(&Charge) -> u64| charges.iter().map(part).sum::<u64>();
        prop_assert_eq!(sum(|c| c.amount), totals.lines);
        prop_assert_eq!(sum(|c| c.units), totals.units);
        prop_assert_eq!(sum(|c| c.free), totals.free_units);
        prop_assert_eq!(totals.classes.iter().map(|c| c.amount).sum::<u64>(), totals.lines);
        prop_assert_eq!(totals.classes.iter().map(|c| c.units).sum::<u64>(), totals.units);
        prop_assert_eq!(totals.lines + totals.supplement, totals.net);
        prop_assert_eq!((totals.net + totals.vat) as i64 + totals.rounding, totals.payable as i64);
        prop_assert_eq!(totals.payable % list.round_to, 0);
        prop_assert!(totals.rounding.unsigned_abs() < list.round_to);
    }

    #[test]
    fn one_message_more_never_costs_less(list in any_list(), messages in messages(), size in 0..20 * MB, to in 0_u64..30_000) {
        let (_, before) = month(&list, &messages);
        let (_, after) = month(&list, &[&messages[..], &[(size, to)]].concat());
        prop_assert!(after.lines >= before.lines && after.net >= before.net);
        prop_assert!(after.vat >= before.vat && after.payable >= before.payable);
    }

    #[test]
    fn how_recipients_are_spread_over_messages_changes_no_sum(parts in prop::collection::vec(0_u64..5_000, 1..20)) {
        let list = list(&[]);
        let whole = [(KB, parts.iter().sum())];
        let spread: Vec<(u64, u64)> = parts.iter().map(|part| (KB, *part)).collect();
        prop_assert_eq!(month(&list, &spread).1.lines, month(&list, &whole).1.lines);
    }

    #[test]
    fn a_unit_at_a_time_costs_what_a_slow_count_says(units in 0_u64..120_000, class in 0_usize..3) {
        let list = list(&[]);
        let size = [KB, 2 * MB, 20 * MB][class];
        let slow: u64 = (1..=units.saturating_sub(list.free_units))
            .map(|unit| list.tiers.iter().rev().find(|tier| tier.from <= unit).unwrap().prices[class])
            .sum();
        prop_assert_eq!(month(&list, &[(size, units)]).1.lines, slow);
    }
}
