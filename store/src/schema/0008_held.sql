-- A store that was restored or moved away takes no acts: the setting `held` says why (absent: it is open).

-- Numbers that were signed for and whose events an old backup did not have: the leaf is known, the event is lost. Together
-- with `evidence` they have no gap.
CREATE TABLE lost (
  ordinal {id},
  leaf    {blob} NOT NULL
);
