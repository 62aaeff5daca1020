-- Senders are told once a month how much of what they may use is used: the row is written with the letter that says so.
CREATE TABLE usage_alert (
  contract {blob} NOT NULL,
  month    TEXT NOT NULL, -- as 2026-11, in Yerevan
  alert    TEXT NOT NULL, -- what was reached, as free-units-80
  time     {int} NOT NULL,
  PRIMARY KEY (contract, month, alert)
);
