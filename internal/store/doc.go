// Package store is what a server keeps: tools, runs with their events, tokens. It has the contract and the data; package sqlstore
// implements it with SQLite and PostgreSQL, and package storetest has the suite that both pass.
//
// # Who may write
//
// A run that hasn't ended has a row in the queue, which says which attempt it is at, which runner holds it and until when. What a
// runner writes (a heartbeat, events, a result) is written only by a statement that compares all three with the row, so a runner
// that comes back late changes nothing, whatever it sends:
//
//	                    Accept            Claim                  Report, Extend
//	(nothing)  ──────────────▶ queued ──────────▶ leased(n, R) ─────────────────┐
//	                             ▲                  │    ▲                      │
//	                             └── Expire, if it ─┘    └──────────────────────┘
//	                                 is retried     │
//	                                                ▼ Report with a result, Cancel of a queued one, Expire
//	                                              ended: the row is gone, and the run has its result
//
// Times are those of the database's clock, so that servers with wrong clocks agree on who holds what.
package store
