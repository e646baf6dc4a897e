"""One check to a file: `OF` says what it is tried on, `NEEDS` what must work before, `check` raises BrokenRuleError."""
