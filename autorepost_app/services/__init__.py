"""The product's verbs. Read top to bottom: connect, rules, detect, fetch, prepare, publish, reconcile, record.

Every public function takes the house and the scope first. Verbs hand over by committed rows, never by calling each
other.
"""
