// Package backup writes what a server with SQLite keeps into one file, while the server serves, and makes a server's folder of it.
//
// The file is a tar archive, compressed with zstd, which has a checksum:
//
//	backup.json      what is in it: Contents
//	mayfly.db        the database, as it was at one moment
//	contents/ab/…    each content, by the SHA-256 of its bytes
//	logs/…           logs of runs that were moved out of the database
//	keys/…, tls/…    only if they were asked for
//
// The database comes first. A content is durable before the database names it, so all that the database in a backup names is there when the
// contents are copied, and a backup may have a few more. So it is with logs. Contents and logs of runs that retention removes meanwhile may
// be missing.
package backup
