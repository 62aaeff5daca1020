//! What a contract costs, and the papers around it. Kinds of sender, texts and prices are data; amounts are whole numbers of
//! a currency's smallest unit, and nothing here knows a fraction.
//!
//! | module | what |
//! |---|---|
//! | [`library`] | the folder with the data: kinds of sender, the contract's text, price lists |
//! | [`prices`] | one version of a price list |
//! | [`charge`] | the arithmetic: what each message costs, and what a month does |
//! | [`month`] | a calendar month in Yerevan |
//! | [`statement`] | the statement of a month, line by line |
//! | [`check`] | a statement computed again |
//! | [`reader`] | a statement read as it streams by |
//! | [`agreement`] | the text of one contract |
//! | [`entitled`] | the public list of bodies entitled to send |
//! | [`page`] | texts as HTML |
//! | [`paper`] | texts as PDF |
//! | [`words`] | the words of pages and papers in three languages |

pub mod agreement;
pub mod charge;
pub mod check;
pub mod entitled;
pub mod library;
pub mod month;
pub mod page;
pub mod paper;
pub mod prices;
pub mod reader;
pub mod statement;
pub mod words;
