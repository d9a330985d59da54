package daemon

func stayInBackground() {}
