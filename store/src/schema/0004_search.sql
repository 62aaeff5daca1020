-- The search index: of each letter its searched text (mail::searched), and marks that say which texts cannot hold a phrase.
-- A letter without a row, or with the row of another form, is scanned.

CREATE TABLE search_mark (
  message {int} PRIMARY KEY,
  form    {int} NOT NULL, -- the form of text and marks; rows of an older one are written anew
  marks   {blob}          -- NULL: this letter is scanned
);
CREATE TABLE search_text (
  message {int} PRIMARY KEY,
  header  TEXT NOT NULL,
  body    TEXT NOT NULL
);
