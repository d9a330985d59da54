package api

import "time"

// NewToken makes a token.
type NewToken struct {
	Name string `json:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$" doc:"what it is for; the history of runs shows it"`
	Role string `json:"role" enum:"viewer,operator,author,admin,runner" doc:"each role may do all that those before it may; a runner's is apart"`
	Pool string `json:"pool,omitempty" maxLength:"63" pattern:"^([A-Za-z0-9][A-Za-z0-9._-]*)?$" doc:"for a runner: the pool that it serves; default by default"`
	// ExpiresSeconds is how long it is good for.
	ExpiresSeconds int64 `json:"expires_seconds,omitempty" minimum:"0" maximum:"3153600000" doc:"how long it is good for; 0 for ever"`
}

// Token is a token without its text.
type Token struct {
	Name    string    `json:"name"`
	Project string    `json:"project,omitempty" doc:"empty for all projects"`
	Role    string    `json:"role"`
	Pool    string    `json:"pool,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	// Token is the text, only in the answer to its creation.
	Token string `json:"token,omitempty" doc:"only in the answer to its creation: nobody can read it later"`
}

// TokenList is a page of tokens, by name.
type TokenList struct {
	Tokens []Token `json:"tokens"`
	Next   string  `json:"next,omitempty" doc:"the cursor of the next page; empty on the last one"`
}

// Me is who makes a request, and what it may do.
type Me struct {
	Name    string    `json:"name" doc:"of the token"`
	Project string    `json:"project,omitempty" doc:"empty for all projects"`
	Role    string    `json:"role"`
	Roles   []string  `json:"roles" doc:"those that the role includes, with itself"`
	Pool    string    `json:"pool,omitempty"`
	Expires time.Time `json:"expires,omitzero" doc:"of the token"`
	// Operations are the operationIds that the token may use, in its project or in all.
	Operations []string        `json:"operations" doc:"the operationIds that the token may use, in its project or in all"`
	Session    *BrowserSession `json:"session,omitempty" doc:"only if the request came with a session"`
	Folder     string          `json:"folder,omitempty" doc:"with mayfly dev: the folder whose files are the drafts"`
}

// BrowserSession is the session of a browser.
type BrowserSession struct {
	Expires     time.Time `json:"expires" doc:"however often it is used"`
	IdleSeconds int64     `json:"idle_seconds" doc:"it ends when it was unused for so long"`
}

// SessionHeader must be in a request that changes something with the cookie of a session: a page of another site can't set it.
const SessionHeader = "X-Mayfly-Session"
