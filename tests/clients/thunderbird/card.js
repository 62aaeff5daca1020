// Has card.cfg read at the start.
pref("general.config.filename", "card.cfg");
pref("general.config.obscure_value", 0);
pref("general.config.sandbox_enabled", false);
