//! The words themselves: one table for the events, one for the labels, in Armenian, Russian and English.
//!
//! For translators. Say what was observed, never more: the words *delivered*, *read*, *served*, *opened* never stand alone
//! in any language, and evidence is never called by the name that eIDAS reserves for accredited services. `{recipient}`
//! and `{account}` are addresses and stand where a name could.

use crate::event::EventName;

/// Armenian, Russian, English.
pub(super) type Three = [&'static str; 3];

/// What is said of one kind of event.
pub(super) struct Said {
    pub(super) event: EventName,
    /// A few words: heading and subject.
    pub(super) title: Three,
    /// What was observed.
    pub(super) fact: Three,
    /// What must not be concluded from it.
    pub(super) limit: Three,
}

pub(super) const EVENTS: &[Said] = &[
    Said {
        event: EventName::SubmissionAccepted,
        title: [
            "Նամակն ընդունվել է",
            "Письмо принято",
            "Submission accepted",
        ],
        fact: [
            "Նամակն ընդունվել է։ Նամակը և այս վկայությունը հուսալիորեն պահպանված են։",
            "Письмо принято. Письмо и это свидетельство надёжно сохранены.",
            "The message was accepted. The message and this evidence are stored durably.",
        ],
        limit: [
            "Սա ինքնին չի նշանակում, որ նամակը տեղադրված է հասցեատիրոջ փոստարկղում. տեղադրման մասին տրվում է առանձին վկայություն։",
            "Само по себе это не означает, что письмо помещено в почтовый ящик адресата: о помещении выдаётся отдельное свидетельство.",
            "This alone does not say that the message lies in a recipient's mailbox: a deposit has evidence of its own.",
        ],
    },
    Said {
        event: EventName::SubmissionRejected,
        title: [
            "Նամակը մերժվել է",
            "Письмо отклонено",
            "Submission rejected",
        ],
        fact: [
            "Նամակը մերժվել է և չի պահպանվել։ Պատճառը վերացնելուց հետո նամակը կարելի է ուղարկել նորից։",
            "Письмо отклонено и не сохранено. После устранения причины письмо можно отправить снова.",
            "The message was rejected and was not stored. It may be sent again once the cause is removed.",
        ],
        limit: [
            "Ոչ մի հասցեատեր այս նամակից ոչինչ չի ստացել։",
            "Ни один адресат ничего из этого письма не получил.",
            "No recipient was given anything of it.",
        ],
    },
    Said {
        event: EventName::RecipientRefused,
        title: [
            "Հասցեատերը մերժվել է",
            "Адресат отклонён",
            "Recipient refused",
        ],
        fact: [
            "Նամակն ընդունելիս {recipient} հասցեատերը մերժվել է. նրա համար նամակը չի ընդունվել։",
            "При приёме письма адресат {recipient} был отклонён; для него письмо не принято.",
            "While the message was being submitted, the recipient {recipient} was refused; for this recipient the message was not accepted.",
        ],
        limit: [
            "Սա չի վերաբերում մյուս հասցեատերերին։",
            "Других адресатов это не касается.",
            "This does not concern other recipients.",
        ],
    },
    Said {
        event: EventName::Deposited,
        title: [
            "Տեղադրվել է փոստարկղում",
            "Помещено в почтовый ящик",
            "Deposited in the mailbox",
        ],
        fact: [
            "Նամակը տեղադրվել է {recipient} փոստարկղում և հասանելի է այնտեղ։",
            "Письмо помещено в почтовый ящик {recipient} и доступно там.",
            "The message was placed in the mailbox {recipient} and is visible there.",
        ],
        limit: [
            "Սա չի նշանակում, որ հասցեատերը տեսել է նամակը։",
            "Это не означает, что адресат увидел письмо.",
            "This does not say that the recipient has seen the message.",
        ],
    },
    Said {
        event: EventName::DepositFailed,
        title: [
            "Չի տեղադրվել փոստարկղում",
            "Не помещено в почтовый ящик",
            "Not deposited in the mailbox",
        ],
        fact: [
            "Նամակն ընդունվել էր, բայց հնարավոր չեղավ այն տեղադրել {recipient} փոստարկղում։",
            "Письмо было принято, но поместить его в почтовый ящик {recipient} не удалось.",
            "The message was accepted, but could not be placed in the mailbox {recipient}.",
        ],
        limit: [
            "Այս հասցեատիրոջ համար նոր փորձեր չեն կատարվի։",
            "Новых попыток для этого адресата не будет.",
            "No further attempt is made for this recipient.",
        ],
    },
    Said {
        event: EventName::LoggedIn,
        title: [
            "Փոստարկղի տերը մուտք է գործել",
            "Вход владельца почтового ящика",
            "The mailbox owner logged in",
        ],
        fact: [
            "{account} փոստարկղի տերը մուտք է գործել համակարգ՝ առաջին անգամ այն բանից հետո, երբ այնտեղ նամակ է տեղադրվել։",
            "Владелец почтового ящика {account} вошёл в систему впервые после того, как в ящик было помещено письмо.",
            "The owner of the mailbox {account} logged in, for the first time since a message was placed there.",
        ],
        limit: [
            "Սա չի նշանակում, որ որևէ նամակ դիտվել է։",
            "Это не означает, что какое-либо письмо было просмотрено.",
            "This does not say that any message was looked at.",
        ],
    },
    Said {
        event: EventName::Listed,
        title: [
            "Վերնագիրը փոխանցվել է",
            "Заголовок передан",
            "Header data sent",
        ],
        fact: [
            "Նամակի վերնագրի կամ կառուցվածքի տվյալները (օրինակ՝ ուղարկողը և թեման) առաջին անգամ ուղարկվել են {recipient} փոստարկղի տիրոջ ծրագրին։",
            "Данные заголовка или структуры письма (например, отправитель и тема) впервые отправлены программе владельца почтового ящика {recipient}.",
            "Data of the header or the structure of the message (such as sender and subject) were sent for the first time to the program of the owner of the mailbox {recipient}.",
        ],
        limit: [
            "Նամակի բովանդակությանը սա չի վերաբերում։",
            "К содержанию письма это не относится.",
            "This does not concern the content of the message.",
        ],
    },
    Said {
        event: EventName::Disclosed,
        title: [
            "Բովանդակությունը պահանջվել է",
            "Содержание запрошено",
            "Content requested",
        ],
        fact: [
            "{recipient} փոստարկղի տիրոջ ծրագիրն առաջին անգամ պահանջել է նամակի բովանդակությունը, և դրա ուղարկումը թույլատրվել է։",
            "Программа владельца почтового ящика {recipient} впервые запросила содержание письма, и его отправка была разрешена.",
            "The program of the owner of the mailbox {recipient} asked for content of the message for the first time, and the content was released for sending.",
        ],
        limit: [
            "Սա չի նշանակում, որ բովանդակությունը հասել է, կամ որ մարդը տեսել է այն։",
            "Это не означает, что содержание дошло или что человек его увидел.",
            "This does not say that the content arrived, or that a person has seen it.",
        ],
    },
    Said {
        event: EventName::HandedOver,
        title: [
            "Բովանդակությունը փոխանցվել է ամբողջությամբ",
            "Содержание передано полностью",
            "Content handed over",
        ],
        fact: [
            "Նամակի ամբողջ բովանդակությունը փոխանցվել է {recipient} փոստարկղի տիրոջ ծրագրին, և այդ ծրագրի համակարգիչը հաստատել է ստացումը։",
            "Всё содержание письма передано программе владельца почтового ящика {recipient}, и компьютер этой программы подтвердил приём.",
            "The whole content of the message was handed over to the program of the owner of the mailbox {recipient}, and that program's computer acknowledged all of it.",
        ],
        limit: [
            "Սա չի նշանակում, որ մարդը տեսել կամ հասկացել է բովանդակությունը։",
            "Это не означает, что человек увидел или понял содержание.",
            "This does not say that a person has seen or understood the content.",
        ],
    },
    Said {
        event: EventName::MarkedRead,
        title: [
            "Նշվել է որպես կարդացված",
            "Отмечено как прочитанное",
            "Marked as read",
        ],
        fact: [
            "{recipient} փոստարկղի տիրոջ ծրագիրն առաջին անգամ նշել է նամակը որպես կարդացված։",
            "Программа владельца почтового ящика {recipient} впервые отметила письмо как прочитанное.",
            "The program of the owner of the mailbox {recipient} marked the message as read for the first time.",
        ],
        limit: [
            "Սա ծրագրի գործողություն է. այն չի նշանակում, որ մարդը տեսել է նամակը, կամ որ բովանդակությունը փոխանցվել է ամբողջությամբ։",
            "Это действие программы: оно не означает, что человек увидел письмо или что содержание передано полностью.",
            "This is an act of that program: it does not say that a person has seen the message, nor that the whole content was handed over.",
        ],
    },
    Said {
        event: EventName::Removed,
        title: [
            "Հեռացվել է փոստարկղից",
            "Удалено из почтового ящика",
            "Removed from the mailbox",
        ],
        fact: [
            "Նամակը հեռացվել է {recipient} փոստարկղից. այդ փոստարկղում պատճեն չի մնացել։",
            "Письмо удалено из почтового ящика {recipient}; копий в этом ящике не осталось.",
            "The message was removed from the mailbox {recipient}; no copy is left in that mailbox.",
        ],
        limit: [
            "Հեռացումը չի չեղարկում ավելի վաղ տրված վկայությունները։",
            "Удаление не отменяет выданных ранее свидетельств.",
            "The removal revokes no earlier evidence.",
        ],
    },
];

pub(super) const TIME: Three = ["Ժամանակը", "Время", "Time"];
pub(super) const YEREVAN: Three = ["Երևան", "Ереван", "Yerevan"];
pub(super) const EVENT: Three = ["Իրադարձությունը", "Событие", "Event"];
pub(super) const EVIDENCE: Three = ["Վկայության համարը", "Номер свидетельства", "Evidence id"];
pub(super) const MESSAGE: Three = ["Նամակի համարը", "Номер письма", "Message id"];
pub(super) const SENDER: Three = ["Ուղարկողը", "Отправитель", "Sender"];
pub(super) const RECIPIENTS: Three = ["Հասցեատերը", "Адресат", "Recipient"];
pub(super) const SUBJECT: Three = ["Թեման", "Тема", "Subject"];
pub(super) const SENDERS_ID: Three = ["Message-ID", "Message-ID", "Message-ID"];
pub(super) const DIGEST: Three = [
    "Նամակի SHA-256-ը",
    "SHA-256 письма",
    "SHA-256 of the message",
];
pub(super) const SIZE: Three = ["Չափը, բայթ", "Размер, байт", "Size, bytes"];
pub(super) const REASON: Three = ["Պատճառի կոդը", "Код причины", "Reason code"];
pub(super) const REPLY: Three = ["Պատասխանը", "Ответ", "Reply"];
pub(super) const CAUSE: Three = ["Պատճառը", "Причина", "Cause"];
pub(super) const EXTENT: Three = ["Ծավալը", "Объём", "Extent"];
pub(super) const MORE: Three = [
    "Մյուսները թվարկված են կից ֆայլերում, ընդամենը՝",
    "Остальные перечислены в приложенных файлах, всего:",
    "The others are in the attached files, in all:",
];

pub(super) const CHECK: Three = ["Ինչպես ստուգել", "Как проверить", "How to check"];

/// Under a sealed receipt, before the commands.
pub(super) const CHECK_SEALED: Three = [
    "Կից XML ֆայլերը վկայություններ են ETSI EN 319 522-3 ձևաչափով։ Պահպանեք այս նամակը receipt.eml ֆայլում՝ առանց որևէ փոփոխության։ ca.pem և anchors.toml ֆայլերը ստացեք օպերատորից այլ ճանապարհով, ոչ այս նամակից։",
    "Приложенные XML-файлы — свидетельства в формате ETSI EN 319 522-3. Сохраните это письмо без изменений в файл receipt.eml. Файлы ca.pem и anchors.toml получите от оператора иным путём, не из этого письма.",
    "The attached XML files are evidence in the format of ETSI EN 319 522-3. Save this mail unchanged as receipt.eml. Obtain ca.pem and anchors.toml from the operator by another way than this mail.",
];

/// Under a report, which bears no seal.
pub(super) const CHECK_REPORT: Three = [
    "Այս հաշվետվությունը կնքված չէ։ Կնքված է վերը նշված համարով վկայությունը. օպերատորն այն տրամադրում է որպես փաթեթ։ Այն ստուգվում է հետևյալ հրամանով՝",
    "Этот отчёт не скреплён печатью. Печатью скреплено свидетельство с указанным выше номером; оператор выдаёт его в виде пакета, который проверяется командой:",
    "This report bears no seal. The evidence with the id above does; the operator gives it out as a bundle, which this command checks:",
];

/// The same in every language.
pub(super) const COMMANDS_SEALED: [&str; 2] = [
    "knik verify receipt.eml --anchors anchors.toml",
    "openssl cms -verify -in receipt.eml -CAfile ca.pem -purpose any -out signed.txt",
];

/// The same in every language; `{evidence}` is the evidence id.
pub(super) const COMMAND_REPORT: &str = "knik verify {evidence}.zip --anchors anchors.toml";
