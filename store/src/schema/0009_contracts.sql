-- Contracts with a life: what a contract holds, it holds from one instant until another. A row is never deleted: to take
-- an address away ends its interval, so that "was this address this sender's then?" has an answer for ever.

ALTER TABLE contract ADD COLUMN sender_kind TEXT;
ALTER TABLE contract ADD COLUMN tariff TEXT;
ALTER TABLE contract ADD COLUMN declares_static {int} NOT NULL DEFAULT 0;
ALTER TABLE contract ADD COLUMN pinned {int} NOT NULL DEFAULT 0;  -- mail is taken with a certificate of the contract only
ALTER TABLE contract ADD COLUMN changed {int} NOT NULL DEFAULT 0; -- the time of its last event
UPDATE contract SET
  pinned = CASE WHEN client_cert IS NULL THEN 0 ELSE 1 END,
  changed = COALESCE((SELECT MAX(e.time) FROM evidence e WHERE e.chain_kind = 2 AND e.chain_subject = contract.id), 0);

-- From the instant `valid_from` on, and no more from `valid_until` on.
ALTER TABLE contract_address ADD COLUMN valid_from {int} NOT NULL DEFAULT 0;
ALTER TABLE contract_address ADD COLUMN valid_until {int};
ALTER TABLE contract_domain ADD COLUMN valid_from {int} NOT NULL DEFAULT 0;
ALTER TABLE contract_domain ADD COLUMN valid_until {int};
CREATE TABLE contract_certificate (
  contract    {blob} NOT NULL,
  certificate {blob} NOT NULL, -- SHA-256 of its DER
  valid_from  {int} NOT NULL,
  valid_until {int}
);
INSERT INTO contract_certificate (contract, certificate, valid_from)
  SELECT id, client_cert, 0 FROM contract WHERE client_cert IS NOT NULL;
ALTER TABLE contract DROP COLUMN client_cert;

UPDATE contract_address SET
  valid_from = COALESCE((SELECT MIN(e.time) FROM evidence e WHERE e.chain_kind = 2 AND e.chain_subject = contract_address.contract), 0),
  valid_until = (SELECT MAX(e.time) FROM evidence e WHERE e.chain_kind = 2 AND e.chain_subject = contract_address.contract AND e.event = 'contract-ended');
UPDATE contract_domain SET
  valid_from = COALESCE((SELECT MIN(e.time) FROM evidence e WHERE e.chain_kind = 2 AND e.chain_subject = contract_domain.contract), 0),
  valid_until = (SELECT MAX(e.time) FROM evidence e WHERE e.chain_kind = 2 AND e.chain_subject = contract_domain.contract AND e.event = 'contract-ended');
UPDATE contract_certificate SET
  valid_from = COALESCE((SELECT MIN(e.time) FROM evidence e WHERE e.chain_kind = 2 AND e.chain_subject = contract_certificate.contract), 0),
  valid_until = (SELECT MAX(e.time) FROM evidence e WHERE e.chain_kind = 2 AND e.chain_subject = contract_certificate.contract AND e.event = 'contract-ended');
CREATE INDEX contract_address_contract ON contract_address (contract);
CREATE INDEX contract_domain_contract ON contract_domain (contract);
CREATE INDEX contract_certificate_contract ON contract_certificate (contract);

-- When the gate was open to a contract: by its state and by its dates.
CREATE TABLE contract_period (
  contract {blob} NOT NULL,
  opened   {int} NOT NULL,
  closed   {int}
);
CREATE INDEX contract_period_contract ON contract_period (contract);
INSERT INTO contract_period (contract, opened, closed)
  SELECT c.id,
    CASE WHEN c.valid_from > e.time THEN c.valid_from ELSE e.time END,
    (SELECT MIN(x.time) FROM evidence x WHERE x.chain_kind = 2 AND x.chain_subject = c.id AND x.seq > e.seq
      AND x.event IN ('contract-suspended', 'contract-ended'))
  FROM contract c JOIN evidence e ON e.chain_kind = 2 AND e.chain_subject = c.id
  WHERE e.event IN ('contract-added', 'contract-resumed');
UPDATE contract_period SET closed = (SELECT c.valid_until FROM contract c WHERE c.id = contract_period.contract)
  WHERE closed IS NULL OR closed > (SELECT c.valid_until FROM contract c WHERE c.id = contract_period.contract);
DELETE FROM contract_period WHERE closed <= opened;
