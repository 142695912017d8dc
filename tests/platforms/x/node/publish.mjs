// twitter-api-v2 uploads a video in its own way (multipart, reading STATUS), posts it, and reads the timeline.
import { readFileSync } from 'node:fs';
import { answer, given, redirect } from './loopback.mjs';

redirect({ 'api.x.com': given.api, 'api.twitter.com': given.api });
const { TwitterApi } = await import('twitter-api-v2');
const client = new TwitterApi(given.token).v2;
const me = (await client.me()).data;
const media = await client.uploadMedia(readFileSync(given.clip), { media_type: 'video/mp4', media_category: 'tweet_video' });
const made = (await client.tweet(given.text, { media: { media_ids: [media] } })).data;
const list = await client.userTimeline(me.id, { max_results: 5, expansions: ['attachments.media_keys'] });
answer({ me, media, made, listed: list.tweets.map((post) => [post.id, post.attachments?.media_keys]), rate: list.rateLimit });
