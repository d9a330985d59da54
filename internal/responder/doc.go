// Package responder has what the responders of mocks share: the connections that they answer at once, and the bounded list
// of what they record.
package responder
