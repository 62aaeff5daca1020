//! Texts in three languages, and the words of pages and papers.

use serde::Deserialize;
use store::register::Lang;

/// All languages, in the order in which they are printed.
pub const LANGS: [Lang; 3] = [Lang::Hy, Lang::Ru, Lang::En];

/// One text in Armenian, Russian and English.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    hy: String,
    ru: String,
    en: String,
}

impl Text {
    /// The text in a language.
    pub fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::Hy => &self.hy,
            Lang::Ru => &self.ru,
            Lang::En => &self.en,
        }
    }

    /// All three, joined, each once.
    pub fn joined(&self) -> String {
        let mut all = vec![&self.hy, &self.ru, &self.en];
        all.dedup();
        all.into_iter().cloned().collect::<Vec<_>>().join(" / ")
    }

    /// Whether something is said in each language.
    pub fn is_whole(&self) -> bool {
        LANGS.iter().all(|lang| !self.of(*lang).trim().is_empty())
    }
}

/// A label in Armenian, Russian and English.
pub struct Label(pub &'static str, pub &'static str, pub &'static str);

impl Label {
    /// The label in a language.
    pub fn of(&self, lang: Lang) -> &'static str {
        match lang {
            Lang::Hy => self.0,
            Lang::Ru => self.1,
            Lang::En => self.2,
        }
    }

    /// All three, joined.
    pub fn joined(&self) -> String {
        [self.0, self.1, self.2].join(" / ")
    }
}

macro_rules! labels {
    ($($name:ident = $hy:literal, $ru:literal, $en:literal;)*) => {
        $(
            #[doc = $en]
            pub const $name: Label = Label($hy, $ru, $en);
        )*
    };
}

labels! {
    STATEMENT = "Ամսական հաշիվ", "Месячный счёт", "Monthly statement";
    CONTRACT = "Պայմանագիր", "Договор", "Contract";
    SENDER = "Ուղարկող", "Отправитель", "Sender";
    MONTH = "Ամիս (Երևանի ժամանակով)", "Месяц (по времени Еревана)", "Month (time of Yerevan)";
    NOT_OVER = "Ամիսը դեռ չի ավարտվել", "Месяц ещё не окончен", "The month is not over";
    PRICE_LIST = "Գնացուցակ", "Прейскурант", "Price list";
    MESSAGES = "Հաղորդագրություններ", "Сообщения", "Messages";
    UNITS = "Միավորներ", "Единицы", "Units";
    FREE_UNITS = "Անվճար միավորներ", "Бесплатные единицы", "Free units used";
    LINES = "Տողերի գումարը", "Сумма строк", "Sum of the lines";
    SUPPLEMENT = "Լրացում մինչև նվազագույն վճարը", "Доплата до минимальной платы", "Supplement to the minimum fee";
    NET = "Գումարն առանց ԱԱՀ-ի", "Сумма без НДС", "Net amount";
    VAT = "ԱԱՀ", "НДС", "VAT";
    ROUNDING = "Կլորացում", "Округление", "Rounding";
    PAYABLE = "Վճարման ենթակա", "К оплате", "Amount payable";
    LINES_DIGEST = "Տողերի SHA-256-ը", "SHA-256 строк", "SHA-256 of the lines";
    LINES_ELSEWHERE = "Տողերը շատ են այս թղթի համար. դրանք CSV և JSON ձևերում են", "Строк слишком много для этой бумаги: они в формах CSV и JSON", "The lines are too many for this paper: they are in the CSV and JSON forms";
    COMPUTED = "Կազմված է միայն գրանցված ապացույցներից. ստուգվում է knik statement check հրամանով", "Составлено только по записанным доказательствам; проверяется командой knik statement check", "Made from recorded evidence alone; checked with knik statement check";
    ENTITLED = "Պաշտոնական հաղորդագրություններ ուղարկելու իրավունք ունեցող մարմիններ", "Органы, имеющие право отправлять официальные сообщения", "Bodies entitled to send official messages";
    KIND = "Տեսակը", "Вид", "Kind";
    DOMAINS = "Տիրույթները", "Домены", "Domains";
    SINCE = "Սկսած", "С", "Since";
    BASIS = "Իրավական հիմքը", "Правовое основание", "Legal basis";
    UNSTATED = "նշված չէ", "не указан", "not stated";
    NOBODY = "Այս պահին գործող պայմանագիր չկա", "Сейчас нет ни одного действующего договора", "No contract is active now";
    REQUIREMENTS = "Պայմանագրի համար անհրաժեշտ փաստաթղթեր", "Документы, необходимые для договора", "Documents needed for a contract";
    USAGE = "Օգտագործման մասին ծանուցում", "Уведомление об использовании", "Usage notice";
    USAGE_FREE = "Անվճար միավորներից օգտագործվել է", "Из бесплатных единиц использовано", "Free units used";
    USAGE_CEILING = "Սահմանված գումարից օգտագործվել է (առանց ԱԱՀ-ի)", "Из установленной суммы использовано (без НДС)", "Used of the amount set (without VAT)";
    USAGE_GOES_ON = "Ուղարկումը չի սահմանափակվում։ Այս նամակը միայն տեղեկատվական է։", "Отправка не ограничивается. Это письмо только информирует.", "Sending is not limited. This mail only informs.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_said_in_each_language_once() {
        let text = Text {
            hy: "ա".into(),
            ru: "AMD".into(),
            en: "AMD".into(),
        };
        assert_eq!(
            (text.of(Lang::Hy), text.joined().as_str()),
            ("ա", "ա / AMD")
        );
        assert!(
            text.is_whole()
                && !Text {
                    ru: " ".into(),
                    ..text
                }
                .is_whole()
        );
        assert_eq!(VAT.of(Lang::Ru), "НДС");
    }
}
