"""autorepost: post on TikTok; it appears on Instagram, YouTube and X. Once."""
