//! Refusals by code: why a holder could not log in, or an agency's mail was not taken, in the three languages of those who
//! meet it, and what they can do. Replies carry a short English text and the code; people read the rest on a page.
//!
//! A code never changes its meaning. Whoever refuses says by which code, in a match over all its causes; here each code has
//! all its texts. So neither a refusal without a code nor a code without a language can be compiled.

/// Who meets a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The holder of a mailbox, in an IMAP program.
    Holder,
    /// A sender under contract, in its mail system's log or a bounce.
    Agency,
}

/// One language's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What it means.
    pub what: &'static str,
    /// What can be done about it.
    pub remedy: &'static str,
}

/// The languages, as [`Code::told`] has them in their order (RFC 5646).
pub const LANGUAGES: [&str; 3] = ["hy", "ru", "en"];

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $word:literal $audience:ident
        hy $hy:literal $hy_do:literal ru $ru:literal $ru_do:literal en $en:literal $en_do:literal;)*) => {
        /// A refusal's code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// As it stands in replies and in the address of its page.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Who meets it.
            #[must_use]
            pub const fn audience(self) -> Audience {
                match self { $(Self::$variant => Audience::$audience,)* }
            }

            /// What it means and what can be done, in the order of [`LANGUAGES`].
            #[must_use]
            pub const fn told(self) -> [Told; 3] {
                match self {
                    $(Self::$variant => [
                        Told { what: $hy, remedy: $hy_do },
                        Told { what: $ru, remedy: $ru_do },
                        Told { what: $en, remedy: $en_do },
                    ],)*
                }
            }
        }
    };
}

codes! {
    /// No certificate was shown.
    CertNone "cert-none" Holder
        hy "Ձեր ծրագիրը հավաստագիր չի ներկայացրել։" "Ծրագրի կարգավորումներում ընտրեք Ձեր հավաստագիրը և մուտքի «TLS հավաստագիր» (EXTERNAL) եղանակը։ Գաղտնաբառ պետք չէ։"
        ru "Ваша программа не предъявила сертификата." "Выберите свой сертификат в настройках программы и способ входа «Сертификат TLS» (EXTERNAL). Пароль не нужен."
        en "Your program showed no certificate." "Choose your certificate in the program's settings, and \"TLS certificate\" (EXTERNAL) as the way to log in. No password is needed.";
    /// TLS has not begun.
    TlsFirst "tls-first" Holder
        hy "Կապը գաղտնագրված չէ, իսկ առանց դրա մուտք գործել հնարավոր չէ։" "Ծրագրի կարգավորումներում միացրեք SSL/TLS կամ STARTTLS և ընտրեք Ձեր հավաստագիրը։"
        ru "Соединение не зашифровано, а без этого войти нельзя." "Включите в настройках программы SSL/TLS или STARTTLS и выберите свой сертификат."
        en "The connection is not encrypted, and nobody can log in without that." "Turn on SSL/TLS or STARTTLS in the program's settings, and choose your certificate.";
    /// The certificate cannot be read.
    CertUnreadable "cert-unreadable" Holder
        hy "Ձեր հավաստագիրը վնասված է կամ չափազանց մեծ, և այն կարդալ հնարավոր չէ։" "Հավաստագիրը նորից ներմուծեք ծրագիր կամ ստացեք նորը։"
        ru "Ваш сертификат повреждён или слишком велик, прочесть его нельзя." "Заново установите сертификат в программе или получите новый."
        en "Your certificate is damaged or too large, and cannot be read." "Install the certificate in your program again, or get a new one.";
    /// Its key or signature is too weak.
    CertWeak "cert-weak" Holder
        hy "Ձեր հավաստագրի բանալին կամ ստորագրությունն այսօր այլևս բավականաչափ հուսալի չէ։" "Ստացեք նոր հավաստագիր այն տրամադրողից։"
        ru "Ключ или подпись вашего сертификата сегодня уже недостаточно надёжны." "Получите новый сертификат у того, кто его выдал."
        en "The key or signature of your certificate is too weak for today." "Get a new certificate from whoever issued it.";
    /// It is not for logging in.
    CertPurpose "cert-purpose" Holder
        hy "Այս հավաստագիրը մուտք գործելու համար չէ։ Գուցե այն ստորագրելու կամ գաղտնագրելու համար է։" "Ծրագրի կարգավորումներում ընտրեք նույնականացման հավաստագիրը։"
        ru "Этот сертификат не предназначен для входа. Возможно, он для подписи или шифрования." "Выберите в настройках программы сертификат для аутентификации."
        en "This certificate is not meant for logging in. It may be one for signing or encryption." "Choose your certificate for authentication in the program's settings.";
    /// It is not valid yet.
    CertNotYetValid "cert-not-yet-valid" Holder
        hy "Ձեր հավաստագիրը դեռ ուժի մեջ չի մտել։" "Սպասեք դրա սկզբի օրվան կամ դիմեք այն տրամադրողին։"
        ru "Срок действия вашего сертификата ещё не начался." "Дождитесь дня его начала или обратитесь к тому, кто его выдал."
        en "Your certificate is not valid yet." "Wait for the day on which it begins, or ask whoever issued it.";
    /// It has expired.
    CertExpired "cert-expired" Holder
        hy "Ձեր հավաստագրի ժամկետն անցել է։" "Ստացեք նոր հավաստագիր։ Ձեր նամակները պահպանված են։"
        ru "Срок действия вашего сертификата истёк." "Получите новый сертификат. Ваши письма сохранены."
        en "Your certificate has expired." "Get a new certificate. Your letters are kept.";
    /// It was revoked.
    CertRevoked "cert-revoked" Holder
        hy "Ձեր հավաստագիրը հետ է կանչվել։ Դրանով մուտք գործել այլևս հնարավոր չէ։" "Եթե Դուք եք դա խնդրել, ստացեք նոր հավաստագիր։ Եթե ոչ, անմիջապես դիմեք օպերատորին։"
        ru "Ваш сертификат отозван. Войти с ним больше нельзя." "Если об этом просили вы, получите новый сертификат. Если нет, немедленно обратитесь к оператору."
        en "Your certificate has been revoked. Nobody can log in with it any more." "If you asked for that, get a new certificate. If you did not, tell the operator at once.";
    /// Whether it was revoked cannot be found out now.
    CertUnchecked "cert-unchecked" Holder
        hy "Այս պահին հնարավոր չէ ստուգել, թե արդյոք Ձեր հավաստագիրը հետ չի կանչվել։" "Փորձեք մի փոքր ուշ։ Եթե դա շարունակվի, դիմեք օպերատորին։"
        ru "Сейчас нельзя проверить, не отозван ли ваш сертификат." "Попробуйте немного позже. Если это продолжается, обратитесь к оператору."
        en "It cannot be found out at the moment whether your certificate was revoked." "Try again a little later. If it goes on, tell the operator.";
    /// Nobody believed here vouches for it.
    CertNotAccepted "cert-not-accepted" Holder
        hy "Այս տրամադրողի հավաստագրերն այստեղ չեն ընդունվում։" "Օգտագործեք Ձեր նույնականացման քարտի հավաստագիրը կամ այն, որը Ձեզ տվել է օպերատորը։"
        ru "Сертификаты этого издателя здесь не принимаются." "Используйте сертификат вашей идентификационной карты или тот, что выдал вам оператор."
        en "Certificates of this issuer are not accepted here." "Use the certificate of your identity card, or one that the operator gave you.";
    /// It names no mailbox.
    CertNoMailbox "cert-no-mailbox" Holder
        hy "Հավաստագիրը վավեր է, բայց դրանով ոչ մի փոստարկղ չի գտնվում։" "Եթե Ձեր փոստարկղը պետք է բացված լինի, հավաստագիրը ցույց տվեք օպերատորին։"
        ru "Сертификат действителен, но по нему не находится ни одного почтового ящика." "Если ваш ящик должен быть открыт, покажите сертификат оператору."
        en "The certificate is valid, but no mailbox is found by it." "If a mailbox should have been opened for you, show the certificate to the operator.";
    /// It names another mailbox than the one asked for.
    OtherMailbox "other-mailbox" Holder
        hy "Հավաստագիրն այլ փոստարկղինն է, ոչ թե նրա, որի անունը նշված է ծրագրում։" "Որպես օգտանուն գրեք Ձեր սեփական հասցեն կամ ընտրեք մյուս հավաստագիրը։"
        ru "Сертификат принадлежит другому ящику, не тому, чьё имя указано в программе." "Укажите как имя пользователя свой собственный адрес или выберите другой сертификат."
        en "The certificate is another mailbox's, not that of the name given in your program." "Give your own address as the user name, or choose the other certificate.";
    /// The holder's mailbox is closed.
    AccountClosed "account-closed" Holder
        hy "Այս փոստարկղը փակված է։" "Եթե կարծում եք, որ դա սխալ է, կամ Ձեզ պետք են նախկին նամակներն ու ապացույցները, դիմեք օպերատորին։"
        ru "Этот почтовый ящик закрыт." "Если вы считаете это ошибкой или вам нужны прежние письма и доказательства, обратитесь к оператору."
        en "This mailbox is closed." "If you think that is a mistake, or need earlier letters and evidence, ask the operator.";
    /// The first day of the holder's mailbox is to come.
    AccountPending "account-pending" Holder
        hy "Այս փոստարկղը դեռ բացված չէ։" "Սպասեք դրա առաջին օրվան կամ դիմեք օպերատորին։"
        ru "Этот почтовый ящик ещё не открыт." "Дождитесь его первого дня или обратитесь к оператору."
        en "This mailbox is not open yet." "Wait for its first day, or ask the operator.";
    /// A delegation has ended or changed.
    DelegationEnded "delegation-ended" Holder
        hy "Այս փոստարկղի Ձեր լիազորությունն ավարտվել կամ փոխվել է։" "Նորից մուտք գործեք. եթե չի հաջողվում, դիմեք նրան, ում փոստարկղն է, կամ օպերատորին։"
        ru "Ваше представительство в этом ящике окончилось или изменилось." "Войдите снова; если не удаётся, обратитесь к владельцу ящика или к оператору."
        en "Your delegation for this mailbox has ended or changed." "Log in again; if that fails, ask the mailbox's holder or the operator.";
    /// A delegation does not reach so far.
    DelegationScope "delegation-scope" Holder
        hy "Ձեր լիազորությունը դա թույլ չի տալիս։" "Կարդալ կարող եք. ավելիի համար օպերատորը պետք է ընդլայնի լիազորությունը։"
        ru "Ваше представительство этого не допускает." "Читать вы можете; для большего оператор должен расширить представительство."
        en "Your delegation does not allow that." "You may read; for more the operator has to widen the delegation.";
    /// Too many connections from one address on which nobody is logged in.
    Crowded "crowded" Holder
        hy "Ձեր հասցեից չափազանց շատ կապեր են բացված, որոնցում ոչ ոք մուտք չի գործել։" "Մի քանի րոպեից փորձեք նորից։ Եթե դա շարունակվի, պատճառը գուցե նույն ցանցի մեկ այլ համակարգիչ է։"
        ru "С вашего адреса открыто слишком много соединений, в которых никто не вошёл." "Попробуйте через несколько минут. Если это продолжается, причина может быть в другом компьютере той же сети."
        en "Too many connections on which nobody is logged in are open from your address." "Try again in a few minutes. If it goes on, another computer of the same network may be the cause.";

    /// No contract holds the peer's address.
    NoContract "no-contract" Agency
        hy "Այս IP հասցեից ուղարկելու պայմանագիր չկա։" "Ուղարկեք պայմանագրում գրանցված ստատիկ հասցեից։ Եթե հասցեն փոխվել է, նախապես հայտնեք օպերատորին։"
        ru "Нет договора, по которому с этого IP-адреса можно отправлять." "Отправляйте со статического адреса, записанного в договоре. Если адрес меняется, заранее сообщите оператору."
        en "There is no contract under which this IP address may send." "Send from the static address that the contract lists. If it changes, tell the operator beforehand.";
    /// The contract is suspended, ended, or outside its dates.
    ContractNotOpen "contract-not-open" Agency
        hy "Պայմանագիրը կասեցված է, ավարտված, կամ դրա ժամկետից դուրս է։" "Պարզեք պատճառը օպերատորից։ Մինչ այդ տեղադրված նամակներն ու դրանց ապացույցները մնում են ուժի մեջ։"
        ru "Договор приостановлен, прекращён, или его срок не идёт." "Узнайте причину у оператора. Письма, помещённые до этого, и их доказательства остаются в силе."
        en "The contract is suspended, has ended, or is outside its dates." "Ask the operator why. Letters deposited before then, and their evidence, stand.";
    /// The contract asks for TLS.
    StarttlsNeeded "starttls-needed" Agency
        hy "Պայմանագիրը պահանջում է գաղտնագրված կապ։" "Միացրեք STARTTLS-ը այս սերվերի համար Ձեր փոստային համակարգում։"
        ru "Договор требует шифрованного соединения." "Включите STARTTLS для этого сервера в вашей почтовой системе."
        en "The contract asks for an encrypted connection." "Turn on STARTTLS for this server in your mail system.";
    /// The contract asks for its client certificate.
    SenderCertificate "sender-certificate" Agency
        hy "Պայմանագիրը պահանջում է իր հավաստագիրը, իսկ ներկայացվել է այլը կամ ոչ մեկը։" "Կարգավորեք Ձեր փոստային համակարգը, որ ներկայացնի պայմանագրում գրանցված հավաստագիրը, կամ օպերատորին հայտնեք նորի մասին։"
        ru "Договор требует своего сертификата, а предъявлен другой или никакого." "Настройте почтовую систему предъявлять сертификат, записанный в договоре, или сообщите оператору о новом."
        en "The contract asks for its own client certificate, and another or none was shown." "Have your mail system show the certificate that the contract lists, or tell the operator of a new one.";
    /// MAIL FROM:<>.
    NullSender "null-sender" Agency
        hy "Դատարկ ուղարկողով նամակ (ավտոմատ պատասխան կամ վերադարձ) այստեղ չի ընդունվում։" "Ուղարկեք պայմանագրի տիրույթի հասցեից։"
        ru "Письмо с пустым отправителем (автоответ или возврат) здесь не принимается." "Отправляйте с адреса из домена договора."
        en "Mail with an empty sender (an automatic answer or a bounce) is not taken here." "Send from an address of the contract's domain.";
    /// The sender's domain is not in the contract.
    SenderDomain "sender-domain" Agency
        hy "Ուղարկողի տիրույթը պայմանագրում չկա։ Ենթատիրույթն այլ տիրույթ է։" "Ուղարկեք պայմանագրի տիրույթից կամ խնդրեք օպերատորին ավելացնել այս տիրույթը։"
        ru "Домена отправителя нет в договоре. Поддомен считается другим доменом." "Отправляйте из домена договора или попросите оператора добавить этот домен."
        en "The sender's domain is not in the contract. A subdomain is another domain." "Send from a domain of the contract, or ask the operator to add this one.";
    /// Larger than the contract or the post allows.
    TooLarge "too-large" Agency
        hy "Նամակն ավելի մեծ է, քան թույլ է տալիս պայմանագիրը։" "Փոքրացրեք կցորդները կամ բաժանեք մի քանի նամակի։"
        ru "Письмо больше, чем разрешает договор." "Уменьшите вложения или разделите на несколько писем."
        en "The message is larger than the contract allows." "Make the attachments smaller, or send several messages.";
    /// A recipient of another domain, or a relaying form.
    Relaying "relaying" Agency
        hy "Ստացողի հասցեն այս փոստի տիրույթից չէ, իսկ ուրիշներին այստեղից ոչինչ չի փոխանցվում։" "Ստուգեք ստացողի հասցեն։"
        ru "Адрес получателя не из домена этой почты, а другим отсюда ничего не передаётся." "Проверьте адрес получателя."
        en "The recipient's address is not of this post's domain, and nothing is passed on to others from here." "Check the recipient's address.";
    /// A recipient outside ASCII.
    AddressNotAscii "address-not-ascii" Agency
        hy "Ստացողի հասցեում կան ASCII-ից դուրս նիշեր։ Պաշտոնական հասցեներն այդպիսիք չունեն։" "Հասցեն գրեք լատինական տառերով և սովորական թվանշաններով։"
        ru "В адресе получателя есть знаки вне ASCII. В официальных адресах их нет." "Напишите адрес латинскими буквами и обычными цифрами."
        en "The recipient's address has characters outside ASCII. Official addresses have none." "Write the address in Latin letters and plain digits.";
    /// No such mailbox.
    NoMailbox "no-mailbox" Agency
        hy "Այս հասցեով փոստարկղ չկա։" "Ստուգեք համարը։ Եթե անձը դեռ պաշտոնական հասցե չունի, ծանուցեք նրան այլ կարգով։"
        ru "Ящика с таким адресом нет." "Проверьте номер. Если у лица ещё нет официального адреса, уведомите его иным порядком."
        en "There is no mailbox of this address." "Check the number. If the person has no official address yet, notify them in another way.";
    /// The recipient's mailbox is closed.
    MailboxClosed "mailbox-closed" Agency
        hy "Ստացողի փոստարկղը փակված է, և նամակն այնտեղ չի դրվել։" "Ծանուցեք ստացողին այլ կարգով։"
        ru "Ящик получателя закрыт, письмо в него не положено." "Уведомите получателя иным порядком."
        en "The recipient's mailbox is closed, and the message was not put there." "Notify the recipient in another way.";
    /// The recipient's mailbox is one with another.
    MailboxMerged "mailbox-merged" Agency
        hy "Ստացողի այս հասցեն փակված է. ստացողն ունի մեկ այլ պաշտոնական հասցե։" "Ճշտեք ստացողի ներկայիս համարը ռեգիստրում և ուղարկեք այնտեղ։"
        ru "Этот адрес получателя закрыт: у получателя другой официальный адрес." "Уточните нынешний номер получателя по регистру и отправьте туда."
        en "This address of the recipient is closed: the recipient has another official address." "Find the recipient's present number in the register, and send there.";
    /// The first day of the recipient's mailbox is to come.
    MailboxPending "mailbox-pending" Agency
        hy "Ստացողի փոստարկղը դեռ բացված չէ։" "Ձեր համակարգը կփորձի նորից. եթե նամակը հետ գա, ուղարկեք ավելի ուշ կամ ծանուցեք այլ կարգով։"
        ru "Ящик получателя ещё не открыт." "Ваша система попробует снова; если письмо вернётся, отправьте позже или уведомите иным порядком."
        en "The recipient's mailbox is not open yet." "Your system will try again; if the message comes back, send it later or notify in another way.";
    /// More recipients than one transaction takes.
    TooManyRecipients "too-many-recipients" Agency
        hy "Մեկ նամակի համար ստացողների թիվը չափազանց մեծ է։" "Սովորական փոստային համակարգը մնացածին ինքն է ուղարկում հաջորդ նամակով։"
        ru "Слишком много получателей для одного письма." "Обычная почтовая система сама отправит остальным следующим письмом."
        en "There are too many recipients for one message." "An ordinary mail system sends to the rest in another message by itself.";
    /// Octets that no message may have.
    BadOctets "bad-octets" Agency
        hy "Նամակում կան արգելված նիշեր՝ NUL կամ առանձին CR կամ LF։" "Նամակը կազմող ծրագիրը պետք է տողերն ավարտի CRLF-ով (RFC 5322 §2.3)։"
        ru "В письме есть недопустимые знаки: NUL или отдельные CR или LF." "Программа, составляющая письмо, должна завершать строки CRLF (RFC 5322 §2.3)."
        en "The message has octets that none may have: NUL, or CR or LF alone." "The program that makes the message must end lines in CRLF (RFC 5322 §2.3).";
    /// No header at all.
    NoHeader "no-header" Agency
        hy "Նամակը վերնագիր չունի։" "Նամակը կազմեք RFC 5322-ի համաձայն՝ առնվազն From և Date դաշտերով։"
        ru "У письма нет заголовка." "Составляйте письмо по RFC 5322, по меньшей мере с полями From и Date."
        en "The message has no header." "Make the message as RFC 5322 says, with From and Date at least.";
    /// Too many Received fields.
    MailLoop "mail-loop" Agency
        hy "Նամակը շրջան է գործում. դրանում չափազանց շատ Received դաշտեր կան։" "Ստուգեք փոխանցման կանոնները Ձեր փոստային համակարգում։"
        ru "Письмо ходит по кругу: в нём слишком много полей Received." "Проверьте правила пересылки в вашей почтовой системе."
        en "The message goes round in circles: it has too many Received fields." "Check the forwarding rules of your mail system.";
    /// A temporary failure on this side.
    TryLater "try-later" Agency
        hy "Այս կողմում ժամանակավոր խնդիր կա։ Նամակը չի ընդունվել և չի կորել։" "Սովորական փոստային համակարգն ինքն է կրկին փորձում։ Եթե դա տևում է ժամեր, դիմեք օպերատորին։"
        ru "На этой стороне временная неполадка. Письмо не принято и не потеряно." "Обычная почтовая система повторит попытку сама. Если это длится часами, обратитесь к оператору."
        en "There is trouble on this side for a while. The message was not taken, and is not lost." "An ordinary mail system tries again by itself. If it goes on for hours, ask the operator.";
}

impl Code {
    /// The code of this word; `None`: there is none.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.word() == word)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_is_one_word_and_says_something_of_its_own_in_each_language() {
        let mut words = BTreeSet::new();
        let mut said = BTreeSet::new();
        for code in Code::ALL.iter().copied() {
            let word = code.word();
            assert!(words.insert(word), "{word} twice");
            assert!(word.bytes().all(|o| o.is_ascii_lowercase() || o == b'-'));
            assert_eq!(Code::of(word), Some(code));
            let [hy, ru, en] = code.told();
            for (told, script) in [(hy, 'ա'..='ֆ'), (ru, 'а'..='я'), (en, 'a'..='z')] {
                for text in [told.what, told.remedy] {
                    let own = text.chars().filter(|c| script.contains(c)).count();
                    // Most of it in the language's own letters: nothing was left untranslated or put in the wrong place.
                    assert!(own * 2 > text.chars().count(), "{word}: {text}");
                }
                assert!(said.insert(told.what), "{word}: {}", told.what);
            }
        }
        assert_eq!(Code::of("no-such-code"), None);
    }
}
